//! A run on disk: `run.json`, replaced atomically as each trial ends, so that every finished trial survives a crash.
//! Each trial is serialised once and stands on a line of its own; it must not be called inside a measured window.

use super::{Run, SCHEMA, Trial};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// What every version of the schema begins with.
const NAME: &str = "hopbench/";

/// Why a run could not be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum ResultsError {
    /// The file system said no.
    #[error("could not {action} {}: {source}; {advice}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What came back.
        source: std::io::Error,
        /// What to do.
        advice: &'static str,
    },
    /// A run is there already.
    #[error(
        "expected a folder without a run, got {}, which already holds a run; name another folder with --out, or go on with \
         this one with --resume",
        .0.display()
    )]
    Exists(PathBuf),
    /// Not a run at all.
    #[error("{} is not a run of Hopbench: {problem}; expected a file that `bench-client run` wrote", path.display())]
    NotARun {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Another version's run.
    #[error(
        "expected the schema `{SCHEMA}` in {}, got `{found}`, which {}",
        path.display(),
        whose(found)
    )]
    Schema {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: String,
    },
}

/// Who writes a schema that this build does not read, and what to do about it.
fn whose(schema: &str) -> &'static str {
    let version = |schema: &str| schema.strip_prefix(NAME)?.parse::<u32>().ok();
    match (version(schema), version(SCHEMA)) {
        (Some(theirs), Some(ours)) if theirs < ours => {
            "an older Hopbench wrote; read it with the version that its manifest names, or run it again"
        }
        (Some(_), _) => "a newer Hopbench wrote; read it with that version",
        _ => "no run of Hopbench has; name a folder that `bench-client run` wrote",
    }
}

/// A run and the folder that keeps it.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    run: Run,
    /// The trials, serialised, in order.
    lines: Vec<String>,
}

impl Store {
    /// Starts a run in `dir` (made if need be) and writes it, so that a read-only folder is noticed before anything is measured.
    pub fn create(dir: impl Into<PathBuf>, run: Run) -> Result<Self, ResultsError> {
        let dir = dir.into();
        if dir.join("run.json").exists() {
            return Err(ResultsError::Exists(dir));
        }
        Self::replace(dir, run)
    }

    /// Starts a run in `dir` in place of one that may be there: until it is written whole, the old one stays.
    pub fn replace(dir: impl Into<PathBuf>, mut run: Run) -> Result<Self, ResultsError> {
        let dir = dir.into();
        fs::create_dir_all(&dir).map_err(|source| ResultsError::Io {
            action: "create",
            path: dir.clone(),
            source,
            advice: "expected a folder that can be written; name one with --out",
        })?;
        run.schema = SCHEMA.into();
        let lines = run.trials.iter().map(line).collect();
        let store = Self { dir, run, lines };
        store.write()?;
        Ok(store)
    }

    /// Opens what an earlier run left, to read it or to go on. `path` is the folder or its `run.json`.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, ResultsError> {
        let path = path.as_ref();
        let (dir, file) = if path.is_file() {
            (
                path.parent().unwrap_or(Path::new(".")).to_path_buf(),
                path.to_path_buf(),
            )
        } else {
            (path.to_path_buf(), path.join("run.json"))
        };
        let text = fs::read_to_string(&file).map_err(|source| ResultsError::Io {
            action: "read",
            path: file.clone(),
            source,
            advice: "expected a folder that `bench-client run --out` wrote",
        })?;
        let run = parse(&text).map_err(|problem| match problem {
            ParseProblem::Schema(found) => ResultsError::Schema {
                path: file.clone(),
                found,
            },
            ParseProblem::Other(problem) => ResultsError::NotARun {
                path: file.clone(),
                problem,
            },
        })?;
        let lines = run.trials.iter().map(line).collect();
        Ok(Self { dir, run, lines })
    }

    /// The run so far.
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Keeps one finished trial.
    pub fn append_trial(&mut self, trial: Trial) -> Result<(), ResultsError> {
        self.lines.push(line(&trial));
        self.run.trials.push(trial);
        self.write()
    }

    /// Changes what is said of finished trials, none of which comes or goes, and writes the run.
    pub fn revise_trials(&mut self, change: impl FnOnce(&mut [Trial])) -> Result<(), ResultsError> {
        change(&mut self.run.trials);
        self.lines = self.run.trials.iter().map(line).collect();
        self.write()
    }

    /// Changes anything but the trials (manifest, sizes, ratios, tables, verdicts, skipped) and writes the run.
    pub fn update(&mut self, change: impl FnOnce(&mut Run)) -> Result<(), ResultsError> {
        change(&mut self.run);
        debug_assert_eq!(
            self.run.trials.len(),
            self.lines.len(),
            "trials are only appended"
        );
        self.write()
    }

    /// Writes another file of the run (a report, `charts/forest.svg`) with the same care.
    pub fn write_file(&self, name: &str, content: &[u8]) -> Result<PathBuf, ResultsError> {
        let target = self.dir.join(name);
        let dir = target.parent().unwrap_or(&self.dir);
        fs::create_dir_all(dir).map_err(|source| ResultsError::Io {
            action: "create",
            path: dir.to_path_buf(),
            source,
            advice: "expected a folder that can be written; name one with --out",
        })?;
        replace(dir, &target, |w| w.write_all(content))?;
        Ok(target)
    }

    fn write(&self) -> Result<(), ResultsError> {
        replace(&self.dir, &self.dir.join("run.json"), |w| self.render(w))
    }

    fn render(&self, w: &mut dyn Write) -> std::io::Result<()> {
        // Taken apart field by field, so that a new field cannot be forgotten here.
        let Run {
            schema,
            manifest,
            trials: _,
            sizes,
            codecs,
            ratios,
            tables,
            verdicts,
            skipped,
        } = &self.run;
        write!(
            w,
            "{{\n\"schema\": {},\n\"manifest\": {},\n\"trials\": [",
            json(schema),
            json(manifest)
        )?;
        for (i, trial) in self.lines.iter().enumerate() {
            write!(w, "{}{trial}", if i == 0 { "\n" } else { ",\n" })?;
        }
        write!(
            w,
            "\n],\n\"sizes\": {},\n\"codecs\": {},\n\"ratios\": {},\n\"tables\": {},\n\"verdicts\": {},\n\"skipped\": {}\n}}\n",
            json(sizes),
            json(codecs),
            json(ratios),
            json(tables),
            json(verdicts),
            json(skipped)
        )
    }
}

enum ParseProblem {
    Schema(String),
    Other(String),
}

fn parse(text: &str) -> Result<Run, ParseProblem> {
    #[derive(Deserialize)]
    struct Head {
        schema: String,
    }
    // The version is looked at first: another version's fields would only give a confusing message.
    let head: Head = serde_json::from_str(text).map_err(|e| ParseProblem::Other(e.to_string()))?;
    if head.schema != SCHEMA {
        return Err(ParseProblem::Schema(head.schema));
    }
    serde_json::from_str(text).map_err(|e| ParseProblem::Other(e.to_string()))
}

fn line(trial: &Trial) -> String {
    serde_json::to_string(trial).expect("results have string keys only")
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string_pretty(value).expect("results have string keys only")
}

/// Writes to a temporary file beside `target`, flushes it to the disk and renames it: readers see the old or the new, never a part.
pub(crate) fn replace(
    dir: &Path,
    target: &Path,
    fill: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<(), ResultsError> {
    let result = (|| {
        let mut file = tempfile::NamedTempFile::new_in(dir)?;
        let mut buffered = BufWriter::new(file.as_file_mut());
        fill(&mut buffered)?;
        buffered.flush()?;
        drop(buffered);
        file.as_file().sync_all()?;
        // Results are for everybody to read; the temporary file's own mode is 0600.
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            file.as_file()
                .set_permissions(fs::Permissions::from_mode(0o644))?;
        }
        file.persist(target).map_err(|e| e.error)?;
        // The rename itself must survive a power cut.
        fs::File::open(dir)?.sync_all()
    })();
    result.map_err(|source| ResultsError::Io {
        action: "write",
        path: target.to_path_buf(),
        source,
        advice: "make room or name another folder with --out; everything finished before is still in place",
    })
}
