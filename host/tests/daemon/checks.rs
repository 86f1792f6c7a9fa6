//! What a machine refuses is refused before any node runs, and named.

use crate::harness::*;
use host::control::StartError;

#[test]
fn a_refusal_on_one_machine_names_it_and_nothing_runs() {
    run(async {
        let mut site = Site::new(&["A", "B"]).await;
        let text = "
nodes:
  - id: source
    kind: source
    config: {count: 10}
    inputs: {tick: dora/timer/millis/2}
    outputs: [out]
    deploy: {machine: A}
  - id: check
    kind: chekcer
    inputs: {in: source/out}
    deploy: {machine: B}
";
        let error = site.try_start(text).await.unwrap_err();
        let StartError::Refused(machines) = &error else {
            panic!("{error:?}");
        };
        assert_eq!(machines.len(), 1);
        let said = error.to_string();
        assert!(
            said.contains("machine `B` refuses its nodes:\nd.yml:"),
            "{said}"
        );
        assert!(said.contains("unknown node kind `chekcer`"), "{said}");
        for host in ["A", "B"] {
            let news = site.host(host).all_news();
            assert!(!news.iter().any(|line| line.contains("runs")), "{news:?}");
        }
        site.close().await;
    });
}

#[test]
fn a_missing_plugin_is_told_with_each_place_that_was_tried() {
    run(async {
        let site = Site::new(&["A"]).await;
        let text = "
nodes:
  - {id: gone, path: lib/nowhere, deploy: {working_dir: sub}}
  - {id: too, path: lib/nowhere}
";
        let mut request = site.request("nodes: [{id: x, path: dynamic}]");
        request.descriptor =
            host::descriptor::Descriptor::parse(text, std::path::Path::new("d.yml")).unwrap();
        request.folder = "/not/on/this/machine".into();
        let started = site.client.start(request, |_| ()).await.unwrap();
        let said = started.unwrap_err().to_string();
        let own = site.folder().join("A");
        for place in [
            "in `/not/on/this/machine/lib`".to_owned(),
            "in `/not/on/this/machine/sub/lib`".to_owned(),
            format!("in `{}`", own.join("lib").display()),
            format!("in `{}`", own.join("sub/lib").display()),
        ] {
            assert!(said.contains(&place), "{place} not in: {said}");
        }
        site.close().await;
    });
}

#[test]
fn a_plugin_is_found_in_the_daemons_own_folder() {
    run(async {
        let site = Site::new(&["A"]).await;
        let flow = host_testing::fixtures::path("flow");
        let file = flow.file_name().unwrap();
        let own = site.folder().join("A/lib");
        std::fs::create_dir_all(&own).unwrap();
        std::fs::copy(&flow, own.join(file)).unwrap();
        let text = "
nodes:
  - id: source
    path: lib/flow
    kind: source
    config: {count: 3}
    inputs: {tick: dora/timer/millis/2}
";
        let mut request = site.request("nodes: [{id: x, path: dynamic}]");
        request.descriptor =
            host::descriptor::Descriptor::parse(text, std::path::Path::new("d.yml")).unwrap();
        request.folder = "/not/on/this/machine".into();
        request.env = [("LEVEL".to_owned(), "3".to_owned())].into();
        let started = site.client.start(request, |_| ()).await.unwrap().unwrap();
        let warnings = started.warnings.to_string();
        assert!(warnings.contains("do not reach plugins"), "{warnings}");
        let ended = site.end(started.dataflow).await;
        assert_eq!(row(&ended, "source").sent, 3);
        site.close().await;
    });
}

#[test]
fn a_node_that_cannot_be_made_ends_the_start_everywhere() {
    run(async {
        let site = Site::new(&["A", "B"]).await;
        let text = "
nodes:
  - id: source
    kind: source
    config: {count: 10}
    inputs: {tick: dora/timer/millis/2}
    outputs: [out]
    deploy: {machine: A}
  - id: broken
    kind: failing
    config: {how: create}
    inputs: {in: source/out}
    outputs: [out]
    deploy: {machine: B}
";
        let error = site.try_start(text).await.unwrap_err();
        let StartError::NotMade { machine, rows } = &error else {
            panic!("{error:?}");
        };
        assert_eq!((machine.as_str(), rows[0].node.as_str()), ("B", "broken"));
        until("nothing runs", async || {
            let status = site.client.status().await.unwrap();
            (status.dataflows == 0).then_some(())
        })
        .await;
        site.close().await;
    });
}
