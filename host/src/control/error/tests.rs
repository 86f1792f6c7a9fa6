use super::*;
use crate::control::{NodeEnd, NodeRow, decode, encode};
use crate::descriptor::{Position, Problems};

fn machine(name: &str) -> MachineId {
    name.parse().unwrap()
}

fn node(name: &str) -> NodeId {
    name.parse().unwrap()
}

#[test]
fn start_errors_name_the_culprit_and_the_remedy() {
    let at = Position { line: 7, column: 5 };
    let rows = vec![NodeRow::bare(
        node("camera"),
        machine("B"),
        NodeEnd::NotMade {
            text: "no such device".into(),
        },
    )];
    let table: Vec<(StartError, &str)> = vec![
        (
            StartError::NotPlaced {
                file: "d.yml".into(),
                errors: vec![
                    PlacementError::UnknownMachine {
                        node: node("sink"),
                        at,
                        machine: machine("C"),
                        known: vec![machine("A"), machine("B")],
                    },
                    PlacementError::NoMachineWithLabels {
                        node: node("camera"),
                        at,
                        labels: [("gpu".to_owned(), "yes".to_owned())].into(),
                        known: vec![],
                    },
                ],
            },
            "d.yml:7:5: node `sink`: machine `C` is not connected; connected: `A` and `B`; start it with \
             `dora daemon --machine-id C`\n\
             d.yml:7:5: node `camera`: no machine has the labels `gpu=yes`; no machine is connected; start a daemon \
             with `--labels`",
        ),
        (
            StartError::NotPlaced {
                file: "d.yml".into(),
                errors: vec![PlacementError::NoMachine],
            },
            "no daemon is connected to the coordinator; start one with `dora daemon`",
        ),
        (
            StartError::NotMade {
                machine: machine("B"),
                rows,
            },
            "nodes could not be made on machine `B`:\nnode `camera` could not be made: no such device",
        ),
        (
            StartError::TimedOut {
                machines: vec![machine("A"), machine("B")],
                step: Step::Check,
                limit: Duration::from_secs(20),
            },
            "machines `A` and `B` did not check its nodes within 20 s; see the log of the daemon there",
        ),
    ];
    for (error, text) in table {
        assert_eq!(error.to_string(), text);
        // Values, not sentences, cross processes.
        let bytes = encode("an error", &error).unwrap();
        assert_eq!(decode::<StartError>("an error", &bytes), Ok(error));
    }
}

#[test]
fn what_the_user_typed_cannot_command_the_terminal() {
    let error = TargetError::Unknown {
        target: "a\u{1b}[2Jb".into(),
        running: vec!["ünï".into()],
    };
    assert_eq!(
        error.to_string(),
        "there is no dataflow `a\\u{1b}[2Jb`; running: `ünï`"
    );
}

#[test]
fn names_of_dataflows() {
    let long = "x".repeat(MAX_NAME + 1);
    let table = [
        ("arm", true),
        ("リンゴ 2", true),
        ("", false),
        ("  ", false),
        (long.as_str(), false),
        ("0197b1c0-0000-7000-8000-000000000000", false),
    ];
    for (name, valid) in table {
        assert_eq!(check_dataflow_name(name).is_ok(), valid, "{name:?}");
    }
}

#[test]
fn unknown_fields_are_ignored_and_other_things_refused_in_words() {
    let text = r#"{"what":"a","reason":"b","later":1}"#;
    let fault = decode::<crate::control::Fault>("a fault", text.as_bytes()).unwrap();
    assert_eq!(fault.what, "a");
    let error = decode::<Problems>("a list of problems", b"[]").unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("a list of problems was not understood: "),
        "{error}"
    );
}
