//! Whether a `.env` of the working directory may be read. It could redirect the issuer, the model or the tools, so a person
//! decides once for each content of each file. The answer is kept beside `config.toml` and held to the same rights: whoever
//! can write one there could redirect all of that in the file itself. It is not in the state folder, which others may put
//! back or fill (a backup, a synchronised folder), and it is not in the credential store: a `.env` is read before it is known
//! which store there is, by commands that need none.

use std::{
    collections::BTreeMap,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{Dirs, Error, env};
use crate::{call::Digest, files};

/// A longer file is no file of variables.
const MAX_BYTES: u64 = 64 * 1024;

/// What became of the `.env` in the working directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DotEnv {
    /// There is none, or it names nothing of ours, or `--env-file` stands in its place.
    None,
    /// Nobody has decided about this content: it was not read. Ask, [`remember`], load again.
    Untrusted {
        /// The file.
        path: PathBuf,
        /// Its content.
        hash: String,
        /// What of ours it would set.
        names: Vec<String>,
    },
    /// A person said no to this content: it was not read.
    Declined {
        /// The file.
        path: PathBuf,
    },
    /// It was read.
    Trusted {
        /// The file.
        path: PathBuf,
    },
}

/// The file of answers.
#[derive(Default, Serialize, Deserialize)]
struct Answers {
    files: BTreeMap<PathBuf, Answer>,
}

#[derive(Serialize, Deserialize)]
struct Answer {
    hash: String,
    trusted: bool,
}

/// Keeps a person's answer about one content of one file; an earlier one about the same file is forgotten.
///
/// # Errors
/// If the folder of the configuration cannot be written.
pub fn remember(dirs: &Dirs, path: &Path, hash: &str, trusted: bool) -> Result<(), Error> {
    let mut answers = answers(dirs)?;
    answers.files.insert(path.to_owned(), Answer { hash: hash.to_owned(), trusted });
    // A map of text cannot fail to become JSON; an empty file only means that the question comes again.
    let text = serde_json::to_vec_pretty(&answers).unwrap_or_default();
    let path = file(dirs);
    // As with `config.toml`: a linked folder stays as it is, and a link stays a link.
    let linked = dirs.config.is_symlink() || path.is_symlink();
    let kept = if linked { files::put(&path, &text) } else { files::write(&path, &text) };
    Ok(kept?)
}

/// Looks at the `.env` of a folder; its text only if it is trusted. `ours` says which names count.
pub(super) fn look(dirs: &Dirs, cwd: &Path, ours: impl Fn(&str) -> bool) -> Result<(DotEnv, Option<String>), Error> {
    let path = cwd.join(".env");
    let readable = std::fs::metadata(&path).is_ok_and(|metadata| metadata.is_file() && metadata.len() <= MAX_BYTES);
    let Some(text) = readable.then(|| std::fs::read_to_string(&path).ok()).flatten() else {
        return Ok((DotEnv::None, None));
    };
    let names: Vec<String> = env::names(&text).into_iter().filter(|name| ours(name)).map(str::to_owned).collect();
    if names.is_empty() {
        return Ok((DotEnv::None, None));
    }
    let path = std::fs::canonicalize(&path).map_err(|source| Error::Read { path, source })?;
    let hash = Digest::of_bytes(text.as_bytes()).to_text();
    let answer = answers(dirs)?.files.remove(&path).filter(|answer| answer.hash == hash);
    Ok(match answer.map(|answer| answer.trusted) {
        None => (DotEnv::Untrusted { path, hash, names }, None),
        Some(false) => (DotEnv::Declined { path }, None),
        Some(true) => (DotEnv::Trusted { path }, Some(text)),
    })
}

fn file(dirs: &Dirs) -> PathBuf {
    dirs.config.join("trust.json")
}

/// What was answered so far. A damaged file trusts nothing.
///
/// # Errors
/// If somebody else may have written it, or it cannot be read.
fn answers(dirs: &Dirs) -> Result<Answers, Error> {
    let path = file(dirs);
    files::only_mine(&path)?;
    match std::fs::read(&path) {
        Ok(text) => Ok(serde_json::from_slice(&text).unwrap_or_default()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Answers::default()),
        Err(source) => Err(Error::Read { path, source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::tests::TempDir;

    #[test]
    fn trust_is_for_one_content_of_one_file() {
        let dir = TempDir::new();
        let dirs = Dirs::find(Some(&dir.path("home"))).unwrap();
        let look = || look(&dirs, &dir.0, |name| name.starts_with("AGENTCTL_")).unwrap();
        assert_eq!(look().0, DotEnv::None);
        std::fs::write(dir.path(".env"), "PORT=3000\n").unwrap();
        assert_eq!(look().0, DotEnv::None, "files of other programs are none of our business");
        let text = "PORT=3000\nAGENTCTL_ISSUER=https://a.example\n";
        std::fs::write(dir.path(".env"), text).unwrap();
        let (DotEnv::Untrusted { path, hash, names }, None) = look() else { panic!("nobody was asked") };
        assert_eq!(names, ["AGENTCTL_ISSUER"]);
        remember(&dirs, &path, &hash, false).unwrap();
        assert_eq!(look(), (DotEnv::Declined { path: path.clone() }, None));
        remember(&dirs, &path, &hash, true).unwrap();
        assert_eq!(look(), (DotEnv::Trusted { path: path.clone() }, Some(text.to_owned())));
        std::fs::write(dir.path(".env"), "AGENTCTL_ISSUER=https://evil.example\n").unwrap();
        assert!(matches!(look(), (DotEnv::Untrusted { .. }, None)), "another content is another question");
        std::fs::write(file(&dirs), "{").unwrap();
        std::fs::write(dir.path(".env"), text).unwrap();
        assert!(matches!(look(), (DotEnv::Untrusted { .. }, None)));
    }

    #[test]
    fn an_answer_that_others_could_have_given_is_none() {
        let dir = TempDir::new();
        let dirs = Dirs::find(Some(&dir.path("home"))).unwrap();
        let look = || look(&dirs, &dir.0, |_| true);
        std::fs::write(dir.path(".env"), "AGENTCTL_ISSUER=https://a.example\n").unwrap();
        let (DotEnv::Untrusted { path, hash, .. }, None) = look().unwrap() else { panic!("nobody was asked") };
        remember(&dirs, &path, &hash, true).unwrap();
        assert!(matches!(look().unwrap(), (DotEnv::Trusted { .. }, Some(_))));
        #[cfg(unix)]
        {
            let mode = |mode| {
                let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
                std::fs::set_permissions(file(&dirs), mode).unwrap();
            };
            mode(0o666);
            assert!(matches!(look(), Err(Error::File(files::Error::Writable(_)))));
            mode(0o600);
        }
        // The very same answer in the state folder is nobody's.
        std::fs::create_dir_all(&dirs.state).unwrap();
        std::fs::rename(file(&dirs), dirs.state.join("trust.json")).unwrap();
        assert!(matches!(look().unwrap(), (DotEnv::Untrusted { .. }, None)));
    }
}
