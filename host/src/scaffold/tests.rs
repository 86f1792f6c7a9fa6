//! Tests of the templates that need no compiler.

use super::*;
use crate::descriptor::Descriptor;

fn name(name: &str) -> CrateName {
    CrateName::new(name).expect("a valid name")
}

fn version() -> PluginAbi {
    PluginAbi::Version("0.7".into())
}

#[test]
fn every_word_of_the_templates_is_filled_in_and_the_dataflow_is_valid() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path().join("my-node");
    let files = plugin(&name("my-node"), &at, &version()).expect("made");
    assert_eq!(files.len(), PLUGIN.len());
    for file in files {
        let text = fs::read_to_string(at.join(file)).expect("text");
        assert!(!text.contains("{{"), "{file}: {text}");
        assert!(text.ends_with('\n') && !text.contains('\r'), "{file}");
    }
    let dataflow = Descriptor::read(&at.join("dataflow.yml")).expect("valid");
    assert_eq!(dataflow.warnings.to_string(), "");
    let node = fs::read_to_string(at.join("src/node.rs")).expect("text");
    assert!(node.contains("impl Node for MyNode {"), "{node}");
    let manifest = fs::read_to_string(at.join("Cargo.toml")).expect("text");
    let dependency = "\nplugin-abi = { version = \"0.7\", features = [\"executable\"] }\n";
    assert!(manifest.contains(dependency), "{manifest}");
}

#[test]
fn the_types_of_the_template_are_not_taken_twice() {
    let node = include_str!("plugin/node.rs.in");
    for taken in TAKEN {
        assert!(node.contains(taken), "{taken} is not in the template");
    }
}

#[test]
fn nothing_is_overwritten() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path().join("x");
    let again = || plugin(&name("x"), &at, &version()).map_err(|error| error.to_string());
    fs::create_dir_all(at.join(".git")).expect("made");
    assert!(again().is_ok());
    let error = again().expect_err("there is a crate");
    assert!(
        error.contains("is not empty (") && error.contains("--path"),
        "{error}"
    );
    fs::remove_dir_all(&at).expect("removed");
    fs::write(&at, "precious").expect("written");
    let error = again().expect_err("a file");
    assert!(
        error.ends_with("exists and is no folder; choose another with --path"),
        "{error}"
    );
    assert_eq!(fs::read_to_string(&at).expect("text"), "precious");
}

#[test]
fn the_dependency_is_a_version_or_a_path() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = absolute(folder.path());
    let abi = root.join("plugin-abi");
    fs::create_dir(&abi).expect("made");
    fs::write(abi.join("Cargo.toml"), "[package]\nname = \"plugin-abi\"\n").expect("written");
    let parse = |text: &str| PluginAbi::parse(text).map_err(|error| error.to_string());
    for version in ["0.7", "=0.7.1", "^1", "0.7.0-rc.1"] {
        assert_eq!(parse(version), Ok(PluginAbi::Version(version.into())));
    }
    assert!(parse("newest").is_err_and(|text| text.starts_with("`newest` is neither")));
    assert!(parse("./nowhere").is_err_and(|text| text.contains("is not the folder of the crate")));
    let found = parse(&abi.display().to_string()).expect("a folder");
    assert_eq!(found, PluginAbi::Folder(abi.clone()));
    assert_eq!(PluginAbi::built_from(&root.join("x/../plugin-abi")), found);
    assert_eq!(PluginAbi::built_from(&root), version());

    let inside = found.dependency(&root.join("examples/x"));
    assert_eq!(
        inside,
        format!("{{ path = \"../../plugin-abi\", {FEATURES} }}")
    );
    let outside = found.dependency(Path::new("/elsewhere"));
    let path = abi.to_string_lossy().replace('\\', "/");
    assert_eq!(outside, format!("{{ path = \"{path}\", {FEATURES} }}"));
    assert_eq!(toml_text("a\"b\\c\n"), r#""a\"b\\c\u000A""#);
}
