//! `path`, and what no path of a descriptor may be. What a path leads to is told by `resolve`.

use super::super::{
    fields::{Fields, Scope, place, text},
    problem::quoted,
    resolve::MAX_PATH_BYTES,
    types::{NodePath, Spanned},
};
use crate::ids::NodeId;

pub(super) fn read_path(
    scope: &mut Scope<'_>,
    fields: &mut Fields,
    id: Option<&Spanned<NodeId>>,
    has_program: bool,
) -> NodePath {
    let given = fields.take("path");
    if let (None, Some(id), true) = (&given, id, has_program) {
        scope.error(
            id.at,
            "`path` is missing; name the node's plugin or executable, such as `path: target/release/camera`",
        );
    }
    let Some(entry) = given else {
        return NodePath::Dynamic;
    };
    let at = entry.value.at;
    let path = text(scope, entry).unwrap_or_else(|| "unknown".into());
    let fault = match path.as_str() {
        "dynamic" => return NodePath::Dynamic,
        "" => Some("`path` is empty; name the node's plugin or executable".into()),
        "shell" => Some(
            "`path: shell` is not supported: write `path: sh` and \
             `args: [\"-c\", \"the command\"]`"
                .into(),
        ),
        path if path.starts_with("http://") || path.starts_with("https://") => Some(format!(
            "{} is a URL, and `path` is never downloaded: fetch it in `build` and name the file",
            quoted(path)
        )),
        path => no_path("path", path),
    };
    if let Some(fault) = fault {
        scope.error(at, fault);
    }
    NodePath::File(Spanned { value: path, at })
}

/// The folder that `working_dir` names, as written.
pub(super) fn read_working_dir(scope: &mut Scope<'_>, fields: &mut Fields) -> Option<String> {
    let entry = fields.take("working_dir")?;
    let at = place(&entry);
    let folder = text(scope, entry)?;
    let fault = match folder.as_str() {
        "" => Some("`working_dir` is empty; name a folder, or leave it out".into()),
        folder => no_path("working_dir", folder),
    };
    if let Some(fault) = fault {
        scope.error(at, fault);
    }
    Some(folder)
}

/// Why no system has a path of this text, under the key that gives it.
fn no_path(key: &str, text: &str) -> Option<String> {
    if text.contains('\0') {
        return Some(format!("`{key}` contains a NUL character"));
    }
    (text.len() > MAX_PATH_BYTES).then(|| {
        format!(
            "`{key}` has {} bytes, at most {MAX_PATH_BYTES} are possible",
            text.len()
        )
    })
}
