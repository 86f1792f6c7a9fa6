//! Descriptors: any text is a graph or a bounded list of lines that name the fault; a graph can be drawn, sent and looked for.

use host::build;
use host::descriptor::graph::Graph;
use host::descriptor::resolve::{Places, Platform, folder_of};
use host::descriptor::{Descriptor, MAX_KEPT, Problems};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Variables with what their users may do to a text.
fn variable(name: &str) -> Option<String> {
    Some(match name {
        "A" => "value".to_owned(),
        "EMPTY" => String::new(),
        "SELF" => "$SELF ${A} ~".to_owned(),
        "UP" => "../../../etc".to_owned(),
        "ODD" => "a\n\u{1b}[31m\0\"': {".to_owned(),
        "LONG" => "x".repeat(10_000),
        _ => return None,
    })
}

pub(crate) fn target(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return false;
    };
    match Descriptor::parse_with(text, Path::new("d.yml"), &variable) {
        Err(problems) => {
            assert!(problems.errors() > 0, "refused without a reason");
            lines(&problems);
            false
        }
        Ok(descriptor) => {
            accepted(&descriptor);
            true
        }
    }
}

fn lines(problems: &Problems) {
    assert!(problems.iter().count() <= MAX_KEPT);
    for problem in problems.iter() {
        crate::assert_line(&problems.line(problem));
    }
}

fn accepted(descriptor: &Descriptor) {
    assert!(!descriptor.nodes.is_empty() && descriptor.warnings.errors() == 0);
    lines(&descriptor.warnings);
    let graph = Graph::new(descriptor);
    for drawn in [graph.to_mermaid(), graph.to_dot(), graph.to_html()] {
        let odd = |c: char| c.is_control() && c != '\n';
        assert!(!drawn.contains(odd), "{drawn:?}");
    }
    lines(&descriptor.check_kinds(&BTreeMap::new()));
    lines(&descriptor.check_executables(&BTreeSet::new()));
    let json = serde_json::to_vec(descriptor).expect("it can be sent");
    let back: Descriptor = serde_json::from_slice(&json).expect("it can be read");
    assert_eq!(&back, descriptor);
    for platform in [Platform::Linux, Platform::Windows] {
        looked_for(descriptor, platform);
    }
    if let Err(problems) = build::plan(descriptor) {
        lines(&problems);
    }
}

/// Where nothing is, so that all is said that was tried.
fn looked_for(descriptor: &Descriptor, platform: Platform) {
    let places = Places {
        folders: vec!["/nowhere".into()],
        path_folders: vec!["/nowhere/bin".into()],
        home: Some("/nowhere/me".into()),
        path_extensions: Vec::new(),
        platform,
        lookup: &variable,
    };
    let (_, problems) = descriptor.resolve(&places, &|_| false);
    lines(&problems);
    for node in &descriptor.nodes {
        match folder_of(node, &places) {
            Ok(folder) => assert!(folder.is_absolute(), "{}", folder.display()),
            Err(error) => crate::assert_line(&error.to_string()),
        }
    }
}
