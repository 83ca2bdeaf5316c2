//! Whether a table makes sense.
use super::{Adapter, Dialect, Group, PromptBy, Rule, UsageAt, template};
use regex_lite::Regex;

/// What is wrong with a table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("adapter '{table}'{}: {why}", if key.is_empty() { String::new() } else { format!(", {key}") })]
pub struct BadAdapter {
    /// The table's name.
    pub table: String,
    /// The key; empty when the whole table is meant.
    pub key: String,
    /// What is wrong, and the mend.
    pub why: String,
}

impl Adapter {
    /// Whether the table makes sense.
    ///
    /// # Errors
    /// [`BadAdapter`] for the first thing that does not.
    pub fn check(&self) -> Result<(), BadAdapter> {
        let fail = |key: String, why: String| Err(BadAdapter { table: self.name.clone(), key, why });
        for (key, text) in self.templates() {
            if let Err(why) = template::check(text) {
                return fail(key, why.to_string());
            }
        }
        for (i, rule) in self.errors.iter().enumerate() {
            let key = format!("errors[{i}]");
            if rule.text.is_none() && rule.status.is_empty() {
                return fail(key, "nothing says when it fits; add text = 'REGEX' or status = [429]".to_owned());
            }
            if let Some(Err(why)) = rule.text.as_deref().map(Regex::new) {
                return fail(format!("{key}.text"), format!("not a regular expression: {why}"));
            }
            if rule.in_words && rule.text.is_none() {
                return fail(key, "in_words = true needs text = 'REGEX' of the whole message".to_owned());
            }
        }
        for (i, file) in self.files.iter().enumerate() {
            let key = format!("files[{i}]");
            if !file.path.starts_with("{home}/") && !file.path.starts_with("{temp}/") {
                return fail(format!("{key}.path"), "must begin with {home}/ or {temp}/".to_owned());
            }
            if file.path.split('/').any(|part| part == "..") {
                return fail(format!("{key}.path"), "must not lead upwards; leave '..' out".to_owned());
            }
            if file.text.is_some() == file.json.is_some() {
                return fail(key, "needs either text or json".to_owned());
            }
        }
        let handed = self.login.files.iter().map(|path| ("login.files", path));
        for (key, path) in handed.chain(self.login.config.iter().map(|path| ("login.config", path))) {
            if path.starts_with('/') || path.split('/').any(|part| part == "..") {
                return fail(
                    key.to_owned(),
                    format!("{path}: must be a path below the home, such as .codex/auth.json"),
                );
            }
        }
        self.check_prompt().or_else(|(key, why)| fail(key, why))?;
        self.check_ways().or_else(|(key, why)| fail(key, why))?;
        self.check_rules().or_else(|(key, why)| fail(key, why))
    }

    fn check_prompt(&self) -> Result<(), (String, String)> {
        let groups = || self.args.iter().flat_map(Group::args);
        for (i, group) in self.args.iter().enumerate() {
            let alone = group.args().len() == 1 && group.args()[0] == "{extra}";
            if !alone && group.args().iter().any(|text| template::mentions(text, "extra")) {
                return Err((format!("args[{i}]"), "{extra} stands alone: write the group [\"{extra}\"]".to_owned()));
            }
        }
        let wanted = match self.prompt {
            _ if self.dialect == Dialect::Acp => return Ok(()),
            PromptBy::Stdin => return Ok(()),
            PromptBy::Argument => "prompt",
            PromptBy::File => "prompt_file",
        };
        if groups().any(|text| template::mentions(text, wanted)) {
            return Ok(());
        }
        let why =
            format!("the program would never see its prompt; add {{{wanted}}} to args, or set prompt = \"stdin\"");
        Err(("prompt".to_owned(), why))
    }

    fn check_ways(&self) -> Result<(), (String, String)> {
        for (i, way) in self.prompt_ways.iter().enumerate() {
            let key = format!("prompt_ways[{i}]");
            if let Some(Err(why)) = way.not_for.as_deref().map(Regex::new) {
                return Err((format!("{key}.not_for"), format!("not a regular expression: {why}")));
            }
            if way.replace.keys().any(String::is_empty) {
                return Err((format!("{key}.replace"), "an empty text cannot be replaced; name one".to_owned()));
            }
            // What stands on stdin instead of the prompt names a file that holds it.
            let texts = self.files.iter().filter_map(|file| file.text.as_deref()).chain(way.stdin.as_deref());
            if way.stdin.is_some() && !texts.into_iter().any(|text| template::mentions(text, "way_prompt")) {
                let why = "the program would never see its prompt; add {way_prompt} to it, or to the text of a file";
                return Err((format!("{key}.stdin"), why.to_owned()));
            }
        }
        Ok(())
    }

    fn check_rules(&self) -> Result<(), (String, String)> {
        if self.dialect == Dialect::Lines && self.rules.is_empty() {
            let why = "dialect \"lines\" needs at least one [[on]] rule that says what a line means".to_owned();
            return Err(("on".to_owned(), why));
        }
        if self.dialect == Dialect::Acp
            && let Some(i) = self.rules.iter().position(|rule| !rule.is_about_failures())
        {
            let why = "dialect \"acp\" says itself what its messages mean: a rule can only say failure, notice or ignore of \
                       what session/update tells; leave the others out, or write on = [] when the table that this one \
                       extends has some";
            return Err((format!("on[{i}]"), why.to_owned()));
        }
        let logs = [("acp.usage_log.usage", &self.acp.usage_log), ("usage_log.usage", &self.usage_log)];
        let logs = logs.into_iter().filter_map(|(key, log)| Some((key.to_owned(), &log.as_ref()?.usage)));
        let rules = self.rules.iter().enumerate();
        let rules = rules.filter_map(|(i, rule)| Some((format!("on[{i}].usage"), rule.usage.as_ref()?)));
        let answer = self.acp.usage.iter().map(|usage| ("acp.usage".to_owned(), usage));
        if let Some((key, _)) = answer.chain(logs).chain(rules).find(|(_, usage)| !usage.counts_something()) {
            return Err((key, "counts nothing; add input, output or cost with the paths of the numbers".to_owned()));
        }
        for (i, rule) in self.rules.iter().enumerate() {
            let key = format!("on[{i}]");
            if let Some(Err(why)) = rule.regex.as_deref().map(Regex::new) {
                return Err((format!("{key}.regex"), format!("not a regular expression: {why}")));
            }
            if rule.regex.is_some() && self.dialect != Dialect::Text {
                return Err((format!("{key}.regex"), "only with dialect = \"text\"; use match here".to_owned()));
            }
            if rule.each.is_none() && !rule.element.is_empty() {
                return Err((format!("{key}.element"), "needs each = \"PATH\" of the array it is about".to_owned()));
            }
            if self.dialect == Dialect::Text
                && let Some((place, path)) = rule.missing_group()
            {
                let why =
                    format!("a line of text has no {path}; name a group of the regex, (?P<{path}>…), or \"line\"");
                return Err((format!("{key}.{place}"), why));
            }
            if !rule.does_something() {
                let why = "says nothing; add session, text, tool, usage, failure, notice, denied, turn or ignore";
                return Err((key, why.to_owned()));
            }
        }
        Ok(())
    }

    /// Every template, with the key it stands under.
    fn templates(&self) -> Vec<(String, &str)> {
        let mut found: Vec<(String, &str)> = Vec::new();
        for (i, group) in self.args.iter().enumerate() {
            found.extend(group.args().iter().map(|text| (format!("args[{i}]"), text.as_str())));
        }
        found.extend(self.env.iter().map(|(name, text)| (format!("env.{name}"), text.as_str())));
        for (i, file) in self.files.iter().enumerate() {
            found.push((format!("files[{i}].path"), &file.path));
            found.extend(file.text.iter().map(|text| (format!("files[{i}].text"), text.as_str())));
            let mut texts = Vec::new();
            file.json.iter().for_each(|json| template::texts_of(json, &mut texts));
            found.extend(texts.into_iter().map(|text| (format!("files[{i}].json"), text)));
        }
        for (i, way) in self.prompt_ways.iter().enumerate() {
            found.extend(way.stdin.iter().map(|text| (format!("prompt_ways[{i}].stdin"), text.as_str())));
        }
        let mut texts = Vec::new();
        self.acp.meta.iter().for_each(|json| template::texts_of(json, &mut texts));
        found.extend(texts.into_iter().map(|text| ("acp.meta".to_owned(), text)));
        found
    }
}

impl Group {
    /// Its arguments.
    pub fn args(&self) -> &[String] {
        match self {
            Group::Plain(args) => args,
            Group::When(group) => &group.args,
        }
    }
}

impl UsageAt {
    fn counts_something(&self) -> bool {
        !self.input.is_empty() || !self.output.is_empty() || !self.cached.is_empty() || self.cost.is_some()
    }
}

impl Rule {
    /// Of a rule for lines of text: the first place that is neither the line nor a named group of its pattern.
    fn missing_group(&self) -> Option<(&'static str, &str)> {
        let regex = self.regex.as_deref().and_then(|text| Regex::new(text).ok());
        let groups: Vec<&str> = regex.iter().flat_map(|regex| regex.capture_names().flatten()).collect();
        let places = [("session", &self.session), ("model", &self.model), ("text", &self.text), ("tool", &self.tool)];
        places.into_iter().find_map(|(place, path)| {
            let path = path.as_deref()?;
            (path != "line" && !groups.contains(&path)).then_some((place, path))
        })
    }

    /// Whether it says nothing but what failed.
    fn is_about_failures(&self) -> bool {
        let Rule {
            when: _,
            regex,
            each,
            element,
            ignore,
            session,
            model,
            text,
            piece: _,
            tool,
            usage,
            failure,
            notice,
            denied,
            turn,
        } = self;
        let paths = [regex, each, session, model, text, tool];
        let says_more = *turn || usage.is_some() || denied.is_some() || !element.is_empty();
        (*ignore || failure.is_some() || notice.is_some()) && !says_more && paths.iter().all(|path| path.is_none())
    }

    fn does_something(&self) -> bool {
        let places = [&self.session, &self.model, &self.text, &self.tool];
        self.ignore
            || self.turn
            || places.iter().any(|place| place.is_some())
            || self.usage.is_some()
            || self.failure.is_some()
            || self.notice.is_some()
            || self.denied.is_some()
    }
}
