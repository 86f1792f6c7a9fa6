//! What a new crate may be called.
//!
//! Invariant: a valid name is one for cargo, for a Rust identifier (with `_` for `-`), for a file on every system, for
//! a node and for the handshake record. Absent: whether the name is taken anywhere.

/// Longest name: the handshake record has room for 64 bytes and needs an end; `-node` is added for the executable.
pub const MAX_LEN: usize = 58;

/// A valid name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrateName(String);

/// Why a name is none for a crate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing.
    #[error("the name is empty")]
    Empty,
    /// Longer than [`MAX_LEN`].
    #[error("the name has {0} characters, at most {MAX_LEN} are possible")]
    TooLong(usize),
    /// It starts with something else than a letter.
    #[error("`{0}` starts with {1:?}; a name starts with a lower-case letter")]
    Start(String, char),
    /// Upper-case letters.
    #[error("`{0}` has upper-case letters; use `{suggestion}`", suggestion = .0.to_ascii_lowercase())]
    UpperCase(String),
    /// A character that is not possible.
    #[error("`{0}` contains {1:?}; lower-case letters, digits, `-` and `_` are possible")]
    Character(String, char),
    /// A word of the language.
    #[error("`{0}` is a keyword of Rust; use another name, such as `{0}-node`")]
    Keyword(String),
    /// A name with a meaning of its own.
    #[error("`{0}` is {1}; use another name, such as `my-{0}`")]
    Reserved(String, &'static str),
}

const KEYWORDS: [&str; 52] = [
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate",
    "do", "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl",
    "in", "let", "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref",
    "return", "self", "static", "struct", "super", "trait", "true", "try", "type", "typeof",
    "union", "unsafe", "unsized", "use", "virtual", "where", "while", "yield",
];

const LIBRARIES: [&str; 6] = ["alloc", "core", "proc-macro", "proc_macro", "std", "test"];
const DEPENDENCIES: [&str; 4] = ["plugin-abi", "plugin_abi", "schemars", "serde"];
const FOLDERS: [&str; 4] = ["build", "deps", "examples", "incremental"];
const DEVICES: [&str; 4] = ["aux", "con", "nul", "prn"];

impl CrateName {
    /// Checks a name.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn new(name: &str) -> Result<Self, NameError> {
        let Some(start) = name.chars().next() else {
            return Err(NameError::Empty);
        };
        let length = name.chars().count();
        if length > MAX_LEN {
            return Err(NameError::TooLong(length));
        }
        let owned = || name.to_owned();
        let possible = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if let Some(letter) = name.chars().find(|letter| !possible(*letter)) {
            return Err(NameError::Character(owned(), letter));
        }
        if !start.is_ascii_alphabetic() {
            return Err(NameError::Start(owned(), start));
        }
        if name.contains(|letter: char| letter.is_ascii_uppercase()) {
            return Err(NameError::UpperCase(owned()));
        }
        if KEYWORDS.contains(&name) {
            return Err(NameError::Keyword(owned()));
        }
        let device = |name: &str| {
            let numbered = name
                .strip_prefix("com")
                .or_else(|| name.strip_prefix("lpt"));
            numbered.is_some_and(|rest| matches!(rest.as_bytes(), [b'1'..=b'9']))
        };
        let reserved = match name {
            name if LIBRARIES.contains(&name) => "a library of Rust itself",
            name if DEPENDENCIES.contains(&name) => "a crate that the new one depends on",
            name if FOLDERS.contains(&name) => "a folder of cargo's",
            name if DEVICES.contains(&name) || device(name) => "a device on Windows",
            "dora" => "where timers and logs come from",
            _ => return Ok(Self(owned())),
        };
        Err(NameError::Reserved(owned(), reserved))
    }

    /// The name as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the node's type: `my-camera` gives `MyCamera`. Never one of `taken`.
    pub(super) fn type_name(&self, taken: &[&str]) -> String {
        let mut name = String::new();
        for part in self.0.split(['-', '_']) {
            let mut letters = part.chars();
            name.extend(letters.next().map(|first| first.to_ascii_uppercase()));
            name.push_str(letters.as_str());
        }
        if taken.contains(&name.as_str()) {
            name.push_str("Node");
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let long = "x".repeat(MAX_LEN + 1);
        for (name, expected) in [
            ("camera", Ok(())),
            ("my-camera_2", Ok(())),
            ("r2d2", Ok(())),
            (&long[1..], Ok(())),
            ("", Err("the name is empty")),
            (
                &long,
                Err("the name has 59 characters, at most 58 are possible"),
            ),
            (
                "2cams",
                Err("`2cams` starts with '2'; a name starts with a lower-case letter"),
            ),
            (
                "-x",
                Err("`-x` starts with '-'; a name starts with a lower-case letter"),
            ),
            (
                "Camera",
                Err("`Camera` has upper-case letters; use `camera`"),
            ),
            (
                "my camera",
                Err(
                    "`my camera` contains ' '; lower-case letters, digits, `-` and `_` are possible",
                ),
            ),
            (
                "../x",
                Err("`../x` contains '.'; lower-case letters, digits, `-` and `_` are possible"),
            ),
            (
                "käfer",
                Err("`käfer` contains 'ä'; lower-case letters, digits, `-` and `_` are possible"),
            ),
            (
                "match",
                Err("`match` is a keyword of Rust; use another name, such as `match-node`"),
            ),
            (
                "std",
                Err("`std` is a library of Rust itself; use another name, such as `my-std`"),
            ),
            (
                "serde",
                Err(
                    "`serde` is a crate that the new one depends on; use another name, such as `my-serde`",
                ),
            ),
            (
                "deps",
                Err("`deps` is a folder of cargo's; use another name, such as `my-deps`"),
            ),
            (
                "com1",
                Err("`com1` is a device on Windows; use another name, such as `my-com1`"),
            ),
            ("com", Ok(())),
            (
                "dora",
                Err(
                    "`dora` is where timers and logs come from; use another name, such as `my-dora`",
                ),
            ),
        ] {
            let found = CrateName::new(name)
                .map(drop)
                .map_err(|error| error.to_string());
            assert_eq!(found, expected.map_err(str::to_owned), "{name}");
        }
    }

    #[test]
    fn types_are_named_after_crates_and_differ_from_what_is_taken() {
        for (name, expected) in [
            ("my-camera_2", "MyCamera2"),
            ("a--b", "AB"),
            ("config", "ConfigNode"),
        ] {
            let name = CrateName::new(name).expect("valid");
            assert_eq!(name.type_name(&["Config", "Node"]), expected);
        }
    }
}
