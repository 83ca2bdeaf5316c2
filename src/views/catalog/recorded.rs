//! Runs whose record can be looked at: those of this data directory, and those that were taken in from others.
use super::{Catalog, Found, Lookup, NotOne, RunRow, SEVERAL, decode};
use p0_model::{id::RunId, kept::Imported};

/// A run whose record can be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recorded {
    /// A run of this data directory.
    Here(RunRow),
    /// A run of another one, whose file was taken in.
    Imported(Box<Imported>),
}

impl Recorded {
    /// Its id.
    pub fn id(&self) -> RunId {
        match self {
            Recorded::Here(row) => row.id,
            Recorded::Imported(imported) => imported.run.run,
        }
    }
}

impl Catalog {
    /// The row of a run of another data directory, which only its file knows.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn imported(&self, id: RunId) -> Found<Option<Imported>> {
        self.rows.get("imported", id.to_string().as_bytes())?.map(|row| decode(&row)).transpose()
    }

    /// The run or imported run that a name stands for. `@last` is never an imported one.
    ///
    /// # Errors
    /// None or several match, or a row cannot be read.
    pub fn find_record(&self, name: &str) -> Result<Recorded, Lookup> {
        if name == "@last" {
            return self.find_run(None).map(Recorded::Here);
        }
        let scan = self.rows.scan("imported", name.to_lowercase().as_bytes()).take(SEVERAL);
        let mut elsewhere = scan.map(|row| decode::<Imported>(&row?.1)).collect::<Found<Vec<_>>>()?;
        let here = match self.find_run(Some(name)) {
            found if elsewhere.is_empty() => return found.map(Recorded::Here),
            Err(Lookup::Name(NotOne::None { .. })) if elsewhere.len() == 1 => {
                return Ok(Recorded::Imported(Box::new(elsewhere.remove(0))));
            }
            Ok(row) => vec![row.id.to_string()],
            Err(Lookup::Name(NotOne::Several { several, .. })) => several,
            Err(Lookup::Name(NotOne::None { .. })) => Vec::new(),
            Err(unread @ Lookup::Rows(_)) => return Err(unread),
        };
        let several = here.into_iter().chain(elsewhere.iter().map(|i| i.run.run.to_string())).collect();
        Err(NotOne::Several { what: "run", name: name.to_owned(), several }.into())
    }
}
