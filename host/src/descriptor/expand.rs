//! `$VAR` in texts and the splitting of argument strings. Where variables come from is the caller's
//! affair, so nothing here reads the environment.

/// Gives the value of a variable, if it is set.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Why a text could not be expanded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpandError {
    /// A variable without value and without default.
    #[error("the variable `{0}` is not set; set it, or write `${{{0}:-default}}`")]
    Unset(String),
    /// `${` without `}`, or something else than a name in it.
    #[error("`${{` needs a variable name and a closing `}}`; write `$$` for a plain `$`")]
    Malformed,
}

/// Replaces `$NAME`, `${NAME}` and `${NAME:-default}`; `$$` is a plain `$`, and so is a `$` before
/// anything that cannot start a name. A default is taken when the variable is unset or empty, and
/// is not itself expanded.
pub fn expand(text: &str, lookup: Lookup<'_>) -> Result<String, ExpandError> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((plain, after)) = rest.split_once('$') {
        out.push_str(plain);
        rest = after;
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some(after) = rest.strip_prefix('{') {
            let (inside, behind) = after.split_once('}').ok_or(ExpandError::Malformed)?;
            out.push_str(&braced(inside, lookup)?);
            rest = behind;
        } else {
            let (name, behind) = rest.split_at(name_len(rest));
            match name {
                "" => out.push('$'),
                _ => out.push_str(&value(name, lookup)?),
            }
            rest = behind;
        }
    }
    out.push_str(rest);
    Ok(out)
}

fn braced(inside: &str, lookup: Lookup<'_>) -> Result<String, ExpandError> {
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    if name.is_empty() || name_len(name) != name.len() {
        return Err(ExpandError::Malformed);
    }
    match default {
        None => value(name, lookup),
        Some(default) => Ok(lookup(name)
            .filter(|value| !value.is_empty())
            .unwrap_or_else(|| default.to_owned())),
    }
}

fn value(name: &str, lookup: Lookup<'_>) -> Result<String, ExpandError> {
    lookup(name).ok_or_else(|| ExpandError::Unset(name.to_owned()))
}

/// Length of the variable name at the start of the text; 0 if there is none.
fn name_len(text: &str) -> usize {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return 0;
    }
    text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(text.len())
}

/// Splits an argument string at white space. `'...'` and `"..."` keep it together; a backslash
/// takes the meaning of a following quote, backslash or white space, and is plain before anything
/// else, so that `C:\dir` stays what it is. `None` when a quote is not closed.
pub(crate) fn split_args(text: &str) -> Option<Vec<String>> {
    let mut args = Vec::new();
    let mut current: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let escapable = |c: &char| match quote {
            Some(_) => matches!(c, '"' | '\\'),
            None => matches!(c, '"' | '\'' | '\\') || c.is_whitespace(),
        };
        match (c, quote) {
            ('\\', None | Some('"')) => {
                let taken = chars.next_if(escapable).unwrap_or('\\');
                current.get_or_insert_default().push(taken);
            }
            (_, Some(open)) if c == open => quote = None,
            ('"' | '\'', None) => {
                quote = Some(c);
                current.get_or_insert_default();
            }
            (_, None) if c.is_whitespace() => args.extend(current.take()),
            _ => current.get_or_insert_default().push(c),
        }
    }
    args.extend(current);
    quote.is_none().then_some(args)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables() {
        let lookup = |name: &str| match name {
            "A" => Some("1".to_owned()),
            "LONG_2" => Some("two".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        let ok = |text: &str| Ok(text.to_owned());
        let unset = |name: &str| Err(ExpandError::Unset(name.to_owned()));
        let table = [
            ("plain", ok("plain")),
            ("$A", ok("1")),
            ("x$A/$LONG_2.y", ok("x1/two.y")),
            ("${A}b", ok("1b")),
            ("${NO:-a b}", ok("a b")),
            ("${EMPTY:-d}", ok("d")),
            ("[$EMPTY]", ok("[]")),
            ("$$A", ok("$A")),
            ("5$", ok("5$")),
            ("$ 5 $1", ok("$ 5 $1")),
            ("é$A漢", ok("é1漢")),
            ("$NO", unset("NO")),
            ("${NO}", unset("NO")),
            ("${A", Err(ExpandError::Malformed)),
            ("${}", Err(ExpandError::Malformed)),
            ("${A B}", Err(ExpandError::Malformed)),
        ];
        for (text, expected) in table {
            assert_eq!(expand(text, &lookup), expected, "{text:?}");
        }
    }

    #[test]
    fn arguments() {
        let table: &[(&str, Option<&[&str]>)] = &[
            ("", Some(&[])),
            ("  a  b\tc\n", Some(&["a", "b", "c"])),
            ("--x 'a b' \"c d\"e", Some(&["--x", "a b", "c de"])),
            ("''", Some(&[""])),
            (r"a\ b \'c\' \\", Some(&["a b", "'c'", r"\"])),
            (r"C:\dir\x", Some(&[r"C:\dir\x"])),
            (r#""a\"b\c""#, Some(&[r#"a"b\c"#])),
            (r"'a\b'", Some(&[r"a\b"])),
            ("'a", None),
            ("a\"", None),
        ];
        for (text, expected) in table {
            let expected = expected.map(|e| e.iter().map(|s| s.to_string()).collect());
            assert_eq!(split_args(text), expected, "{text:?}");
        }
    }
}
