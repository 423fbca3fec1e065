//! The control port's token: made at random, kept in a file that only its owner reads, compared in constant time.
//! It knows no HTTP.

use rand::Rng;
use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use subtle::ConstantTimeEq;
use tempfile::TempPath;

/// Environment variable that gives the token instead of a file: for containers that share it.
pub const ENVIRONMENT: &str = "HOPBENCH_TOKEN";
/// Characters of a token made here: 32 random bytes in hexadecimal.
const LENGTH: usize = 64;

/// What a caller of the control port must show.
#[derive(Clone)]
pub struct Token(String);

/// The token's file, removed when this is dropped.
#[derive(Debug)]
pub struct TokenFile {
    /// Where it is.
    pub path: PathBuf,
    _remove: TempPath,
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(…)")
    }
}

impl Token {
    /// A fresh token of 32 random bytes.
    pub fn random() -> Self {
        let mut bytes = [0; LENGTH / 2];
        rand::rng().fill_bytes(&mut bytes);
        Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// A token that the user brings; one that could be guessed is refused.
    pub fn given(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.len() < 32 || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!(
                "expected a token of at least 32 printable characters in {ENVIRONMENT}; got {} characters; make one with `openssl rand -hex 32`",
                text.chars().count()
            ));
        }
        Ok(Self(text.to_owned()))
    }

    /// Whether a caller showed this token; takes as long whichever character differs.
    pub fn is(&self, shown: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(shown).into()
    }

    /// Writes the token to a file of mode 0600: a new one among the temporary files, or at `path`. What is there
    /// already is replaced only if it looks like an old token.
    pub fn write(&self, path: Option<&Path>) -> Result<TokenFile, String> {
        let failed = |error: &dyn fmt::Display| {
            format!("the token could not be written: {error}; give another place with --token-file")
        };
        let mut builder = tempfile::Builder::new();
        builder.prefix("hopbench-token-");
        let folder = match path {
            None => std::env::temp_dir(),
            Some(path) => {
                check_replaceable(path)?;
                match path.parent() {
                    Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
                    _ => PathBuf::from("."),
                }
            }
        };
        // Temporary files are made with mode 0600 and a name nobody can foresee; renaming keeps both promises.
        let mut file = builder.tempfile_in(folder).map_err(|e| failed(&e))?;
        writeln!(file, "{}", self.0).map_err(|e| failed(&e))?;
        let remove = match path {
            None => file.into_temp_path(),
            Some(path) => {
                file.persist(path).map_err(|e| failed(&e.error))?;
                TempPath::try_from_path(path).map_err(|e| failed(&e))?
            }
        };
        let path = std::path::absolute(&remove).map_err(|e| failed(&e))?;
        Ok(TokenFile {
            path,
            _remove: remove,
        })
    }
}

/// Refuses to replace a file that isn't an old token.
pub fn check_replaceable(path: &Path) -> Result<(), String> {
    let refused = || {
        Err(format!(
            "expected {} to be missing or an old token, for --token-file names a file to be written; what is there is no token: \
             remove it or give another name",
            path.display()
        ))
    };
    match std::fs::symlink_metadata(path) {
        Err(_) => Ok(()),
        Ok(data) if !data.is_file() || data.len() > 2 * LENGTH as u64 => refused(),
        Ok(_) => match std::fs::read_to_string(path) {
            Ok(text)
                if text.trim().len() == LENGTH
                    && text.trim().bytes().all(|byte| byte.is_ascii_hexdigit()) =>
            {
                Ok(())
            }
            _ => refused(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn text(token: &Token) -> &[u8] {
        token.0.as_bytes()
    }

    #[test]
    fn a_token_is_itself_and_nothing_else() {
        let (one, other) = (Token::random(), Token::random());
        assert!(one.is(text(&one)));
        assert!(!one.is(text(&other)));
        assert!(!one.is(&text(&one)[1..]));
        assert!(!one.is(b""));
        assert_eq!(text(&one).len(), LENGTH);
    }

    #[test]
    fn the_file_is_its_owners_alone_and_goes_with_the_service() {
        let folder = tempfile::tempdir().unwrap();
        for place in [None, Some(folder.path().join("token"))] {
            let token = Token::random();
            let file = token.write(place.as_deref()).unwrap();
            let mode = std::fs::metadata(&file.path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            let written = std::fs::read_to_string(&file.path).unwrap();
            assert!(token.is(written.trim().as_bytes()));
            let path = file.path.clone();
            drop(file);
            assert!(!path.exists());
        }
    }

    #[test]
    fn an_old_token_is_replaced_and_any_other_file_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "my only copy\n").unwrap();
        let error = Token::random().write(Some(&path)).unwrap_err();
        assert!(error.contains("is no token"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "my only copy\n");
        std::fs::write(&path, "ab".repeat(32)).unwrap();
        let token = Token::random();
        let file = token.write(Some(&path)).unwrap();
        let written = std::fs::read_to_string(&file.path).unwrap();
        assert!(token.is(written.trim().as_bytes()));
    }

    #[test]
    fn a_token_that_could_be_guessed_is_refused() {
        assert!(Token::given("secret").is_err());
        assert!(Token::given(&"ä".repeat(40)).is_err());
        assert!(
            Token::given(&"x".repeat(32))
                .unwrap()
                .is("x".repeat(32).as_bytes())
        );
        assert_eq!(
            format!("{:?}", Token::given(&"x".repeat(32)).unwrap()),
            "Token(…)"
        );
    }
}
