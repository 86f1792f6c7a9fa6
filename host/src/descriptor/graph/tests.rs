//! What the pictures hold, that hostile names stay text, and that big graphs are drawn soon.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use super::*;

fn graph(text: &str) -> Graph {
    let descriptor =
        Descriptor::parse(text, Path::new("dir/flow.yml")).expect("a valid descriptor");
    Graph::new(&descriptor)
}

const FLOW: &str = r#"
nodes:
  - id: camera
    path: ../target/release/camera
    deploy: {machine: A}
    outputs: [image]
    inputs: {tick: dora/timer/hz/10}
  - id: detector
    path: vision
    kind: detector
    process: vision
    thread: own
    outputs: [boxes]
    inputs:
      image: {source: camera/image, queue_policy: backpressure}
      back: {source: sink/state, queue_policy: drop_newest}
  - id: sink
    path: sink.py
    outputs: [state]
    inputs: {boxes: detector/boxes, image: camera/image, log: dora/logs/warn, self: sink/state}
"#;

#[test]
fn mermaid() {
    let expected = r#"flowchart LR
  subgraph m0 ["machine A"]
    n0["<b>camera</b><br/>camera"]
  end
  n1["<b>detector</b><br/>detector · process vision · thread own"]
  n2["<b>sink</b><br/>sink.py"]
  n3(["dora/timer/millis/100"])
  n4[("dora/logs/warn")]
  n0 -- "image (backpressure)" --> n1
  n0 -- "image" --> n2
  n1 -- "boxes" --> n2
  n2 -- "state → back (drop newest)" --> n1
  n2 -- "state → self" --> n2
  n3 -- "tick" --> n0
  n4 -- "log" --> n2
"#;
    assert_eq!(graph(FLOW).to_mermaid(), expected);
}

#[test]
fn dot() {
    let text = graph(FLOW).to_dot();
    assert!(text.starts_with("digraph dataflow {\n"), "{text}");
    assert!(text.contains("  subgraph cluster_0 {\n    label=\"machine A\";\n    n0 [label=\"camera\\ncamera\"];\n  }\n"));
    assert!(text.contains("  n3 [label=\"dora/timer/millis/100\", shape=ellipse];\n"));
    assert!(text.contains("  n2 -> n1 [label=\"state → back (drop newest)\"];\n"));
    assert!(text.ends_with("}\n"));
}

#[test]
fn html_is_one_page_without_script_or_network() {
    let text = graph(FLOW).to_html();
    assert!(text.starts_with("<!DOCTYPE html>"));
    assert!(text.ends_with("</html>\n"));
    for forbidden in [
        "<script", "<link", "<img", "@import", "src=", "href=", "NaN", "inf",
    ] {
        assert!(!text.contains(forbidden), "{forbidden}");
    }
    let urls = text.matches("http").count();
    // The name of the SVG namespace and the policy's `http-equiv`: nothing is fetched.
    assert_eq!(urls, 2, "{text}");
    for name in [
        "camera",
        "detector",
        "sink.py",
        "dora/timer/millis/100",
        "state → back",
    ] {
        assert!(text.contains(name), "{name}");
    }
    assert_eq!(text.matches("<g class=\"wire\">").count(), 7);
    assert_eq!(text.matches("<g class=\"box").count(), 5);
    balanced(&text);
}

/// Every element that is opened is closed, in order.
fn balanced(text: &str) {
    let mut open: Vec<&str> = Vec::new();
    for part in text.split('<').skip(1) {
        let (tag, _) = part.split_once('>').expect("a closed tag");
        let name = tag.split_whitespace().next().unwrap_or_default();
        match name.strip_prefix('/') {
            Some(closed) => assert_eq!(open.pop(), Some(closed)),
            None if tag.ends_with('/') || ["!DOCTYPE", "meta"].contains(&name) => {}
            None => open.push(name),
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn hostile_names_stay_text() {
    let hostile = r#"<script>alert('x')</script>\"]; -->"#;
    let name = hostile.replace('\'', "''");
    let text = format!(
        "nodes:\n  - id: a\n    name: '{name}'\n    path: x\n    kind: '{name}'\n    description: '{name}'\n"
    );
    let graph = graph(&text);
    let html = graph.to_html();
    assert!(!html.contains("<script"), "{html}");
    balanced(&html);
    let mermaid = graph.to_mermaid();
    let inside = mermaid.lines().nth(1).expect("the box");
    assert_eq!(inside.matches('"').count(), 2, "{inside}");
    assert!(!inside.contains("<script"), "{inside}");
    let dot = graph.to_dot();
    assert!(dot.contains("\\\\\\\"]; -->"), "{dot}");
}

#[test]
fn big_graphs_are_drawn_soon() {
    let mut text = String::from("nodes:\n");
    for n in 0..200 {
        text.push_str(&format!("  - id: node-{n}\n    path: x\n    outputs: [out]\n    inputs:\n      tick: dora/timer/millis/{}\n", n % 7 + 1));
        for back in [1, 2, 13, 50] {
            text.push_str(&format!(
                "      in{back}: node-{}/out\n",
                (n + 200 - back) % 200
            ));
        }
    }
    let graph = graph(&text);
    let begun = Instant::now();
    let html = graph.to_html();
    balanced(&html);
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "{:?}",
        begun.elapsed()
    );
    assert!(html.len() < 4_000_000, "{}", html.len());
}
