//! What a person sees of a run at work: lines that scroll, and below them one line per live agent, drawn over.
use crate::{
    model::record::Record,
    surface::ui::{self, Colour, To},
    system::clock,
    views::{
        progress::Progress,
        retrying::Retrying,
        timeline::{self, Weight},
    },
};

/// The screen of one run.
pub(super) struct Screen {
    to: To,
    redraws: bool,
    drawn: usize,
    progress: Progress,
    /// What the engine tries again right now, as it was told.
    retrying: Vec<Retrying>,
    /// Events up to here are history: they count, but are not told.
    told: u64,
}

impl Screen {
    /// A screen on stdout, or on stderr where stdout is for a document.
    pub(super) fn new(to: To, told: u64) -> Screen {
        Screen { to, redraws: ui::can_redraw(to), drawn: 0, progress: Progress::default(), retrying: Vec::new(), told }
    }

    /// Takes in one event.
    pub(super) fn show(&mut self, record: &Record) {
        self.progress.apply(record);
        if record.seq <= self.told {
            return;
        }
        self.told = record.seq;
        let line = timeline::line(record);
        let text = match line.weight {
            Weight::Detail => {
                self.redraw();
                return;
            }
            Weight::Normal => line.text,
            Weight::Bad => ui::paint(self.to, Colour::Red, &line.text),
            Weight::Good => ui::paint(self.to, Colour::Green, &line.text),
        };
        let at = ui::paint(self.to, Colour::Dim, &record.at.format("%H:%M:%S").to_string());
        self.say(&format!("{at} {text}"));
    }

    /// Takes in what the engine tries again now: what is new is told, and what is over. The rest is in `p0 status`.
    pub(super) fn retrying(&mut self, now: Vec<Retrying>) {
        let same = |a: &Retrying, b: &Retrying| a.run == b.run && a.what == b.what;
        let before = std::mem::replace(&mut self.retrying, now.clone());
        for one in &now {
            if !before.iter().any(|other| same(one, other) && one.why == other.why) {
                self.say(&ui::paint(self.to, Colour::Red, &format!("retrying: {}", one.line())));
            }
        }
        for one in before.iter().filter(|one| !now.iter().any(|other| same(one, other))) {
            self.say(&format!("no longer retrying: {}", one.what));
        }
    }

    /// A line above the live ones.
    pub(super) fn say(&mut self, text: &str) {
        self.wipe();
        ui::line_to(self.to, text);
        self.redraw();
    }

    /// Draws the live lines anew.
    pub(super) fn redraw(&mut self) {
        if !self.redraws {
            return;
        }
        self.wipe();
        let (now, width) = (clock::now(), ui::width(self.to));
        let lines: Vec<String> = self.progress.live().map(|live| live.line(now)).collect();
        for line in &lines {
            let cut: String = line.chars().take(width - 1).collect();
            ui::line_to(self.to, &ui::paint(self.to, Colour::Yellow, &cut));
        }
        self.drawn = lines.len();
    }

    /// Removes the live lines.
    pub(super) fn wipe(&mut self) {
        if self.drawn > 0 {
            ui::raw(self.to, format!("\u{1b}[{}A\u{1b}[J", self.drawn).as_bytes());
            self.drawn = 0;
        }
    }

    /// Draws anew where the cursor is: somebody else wrote below the live lines.
    pub(super) fn forget(&mut self) {
        self.drawn = 0;
        self.redraw();
    }

    /// Whether it is drawn over, so that a clock on it should move.
    pub(super) fn is_live(&self) -> bool {
        self.redraws
    }
}
