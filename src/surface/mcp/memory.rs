//! The search in what a milestone has learned and written down: words, counted. No index, no network: a milestone has
//! hundreds of texts, not millions.
use crate::{model::protocol::LearningInput, views::tickets::TicketDoc};
use std::collections::BTreeSet;

/// Hits shown when nobody says how many.
pub(super) const USUAL: usize = 8;
/// Hits shown at the most.
pub(super) const MOST: usize = 50;
/// Characters shown of a hit.
const SHOWN: usize = 400;
/// How much more a word in a title counts than one in a text.
const TITLE: f64 = 3.0;
/// What a word counts that only begins with a term.
const BEGINS: f64 = 0.5;

/// A text that can be found.
pub(super) struct Text {
    /// Where it is: `learning L2`, `BLOG-1`, `BLOG-1, comment by …`.
    place: String,
    title: String,
    body: String,
}

/// Everything that can be found.
pub(super) fn texts(learnings: &[LearningInput], tickets: &[TicketDoc]) -> Vec<Text> {
    let mut texts: Vec<Text> = learnings
        .iter()
        .map(|l| Text { place: format!("learning {}", l.id), title: String::new(), body: l.text.clone() })
        .collect();
    for ticket in tickets {
        let reasons = [&ticket.blocked_reason, &ticket.deferred].into_iter().flatten().cloned();
        let files = ticket.files.all().map(str::to_owned);
        let body = std::iter::once(ticket.body.clone()).chain(reasons).chain(files).collect::<Vec<_>>().join("\n");
        texts.push(Text { place: format!("{} ({})", ticket.id, ticket.status), title: ticket.title.clone(), body });
        texts.extend(ticket.comments.iter().map(|comment| Text {
            place: format!("{}, comment by {}", ticket.id, comment.actor),
            title: String::new(),
            body: comment.text.clone(),
        }));
    }
    texts
}

/// What was found, in words.
pub(super) fn told(texts: &[Text], query: &str, limit: usize) -> String {
    let terms = terms(query);
    if terms.is_empty() {
        return "the query has no word to search for; give a few words".into();
    }
    let found = ranked(texts, &terms);
    if found.is_empty() {
        return format!("nothing has any of: {}. There are {} texts", terms.join(", "), texts.len());
    }
    let shown = found.iter().take(limit).map(|n| line(&texts[*n], &terms)).collect::<Vec<_>>().join("\n\n");
    match found.len().saturating_sub(limit) {
        0 => shown,
        more => format!("{shown}\n\n({more} more; search with other words, or a higher limit)"),
    }
}

/// The words of a query, each once.
fn terms(query: &str) -> Vec<String> {
    let words: BTreeSet<String> = words(query).collect();
    words.into_iter().collect()
}

fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).map(str::to_lowercase)
}

/// The texts that have a term, the best first. A rare term counts more than a common one, and a term that is repeated
/// counts a little more each time.
fn ranked(texts: &[Text], terms: &[String]) -> Vec<usize> {
    let counted: Vec<Vec<f64>> = texts
        .iter()
        .map(|text| {
            let (title, body): (Vec<_>, Vec<_>) = (words(&text.title).collect(), words(&text.body).collect());
            terms.iter().map(|term| TITLE * count(&title, term) + count(&body, term)).collect()
        })
        .collect();
    #[expect(clippy::cast_precision_loss, reason = "a milestone has far fewer than 2^52 texts")]
    let rarity = |term: usize| {
        let have = counted.iter().filter(|c| c[term] > 0.0).count();
        (1.0 + texts.len() as f64 / (1.0 + have as f64)).ln()
    };
    let rarities: Vec<f64> = (0..terms.len()).map(rarity).collect();
    let mut scored: Vec<(f64, usize)> = counted
        .iter()
        .enumerate()
        .map(|(n, counts)| (counts.iter().zip(&rarities).map(|(count, rarity)| (1.0 + count).ln() * rarity).sum(), n))
        .filter(|(score, _)| *score > 0.0)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    scored.into_iter().map(|(_, n)| n).collect()
}

fn count(words: &[String], term: &str) -> f64 {
    let one = |word: &String| match word.strip_prefix(term) {
        Some("") => 1.0,
        Some(_) => BEGINS,
        None => 0.0,
    };
    words.iter().map(one).sum()
}

/// A hit: where, its title, and the text around the first term.
fn line(text: &Text, terms: &[String]) -> String {
    let title = if text.title.is_empty() { String::new() } else { format!(" {}", text.title) };
    let body = text.body.split_whitespace().collect::<Vec<_>>().join(" ");
    let lower = body.to_lowercase();
    let first = terms.iter().filter_map(|term| lower.find(term.as_str())).min().unwrap_or_default();
    // Lower case may be of another length than the text; then the place is only about right.
    let start = lower.get(..first).map_or(0, |before| before.chars().count()).saturating_sub(SHOWN / 4);
    let shown: String = body.chars().skip(start).take(SHOWN).collect();
    let (before, after) =
        (if start > 0 { "…" } else { "" }, if start + SHOWN < body.chars().count() { "…" } else { "" });
    format!("[{}]{title}\n{before}{shown}{after}", text.place)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(place: &str, title: &str, body: &str) -> Text {
        Text { place: place.into(), title: title.into(), body: body.into() }
    }

    #[test]
    fn rare_words_and_titles_come_first() {
        let texts = [
            text("a", "", "the tests of the parser"),
            text("b", "Parser", "the tests"),
            text("c", "", "the tests are slow"),
            text("d", "", "Ünïcode PARSERS"),
        ];
        let places = |query: &str| {
            ranked(&texts, &terms(query)).iter().map(|n| texts[*n].place.as_str()).collect::<Vec<_>>().join("")
        };
        assert_eq!(places("parser"), "bad", "in a title, as it is, as the beginning of a word");
        assert_eq!(places("slow tests"), "cab");
        assert_eq!(places("ÜNÏCODE"), "d");
        assert_eq!(places("nothing"), "");
    }

    #[test]
    fn hits_show_where_and_what() {
        let long = format!("{} needle {}", "hay ".repeat(300), "hay ".repeat(300));
        let told = told(&[text("learning L1", "", &long), text("BLOG-1 (open)", "A needle", "")], "needle", 1);
        assert!(told.starts_with("[BLOG-1 (open)] A needle\n"), "{told}");
        assert!(told.ends_with("(1 more; search with other words, or a higher limit)"), "{told}");
        let line = line(&text("learning L1", "", &long), &terms("needle"));
        assert!(line.contains("needle") && line.contains("\n…") && line.ends_with('…'), "{line}");
    }
}
