//! Looking on at outputs while they run.

use crate::harness::*;
use host::client::TapEvent;
use host::control::Target;

#[test]
fn an_output_can_be_looked_at_while_it_runs() {
    run(async {
        let site = Site::new(&["A", "B"]).await;
        let text = "
nodes:
  - id: source
    kind: source
    config: {count: 1000000}
    inputs: {tick: dora/timer/millis/5}
    outputs: [out]
    deploy: {machine: B}
";
        let dataflow = site.start(text).await;
        let topics = site
            .client
            .topics(Some(Target::Id(dataflow)))
            .await
            .unwrap();
        assert_eq!(topics.len(), 1);
        let mut tap = site.client.tap(&topics[0]).await.unwrap();
        let mut numbers = Vec::new();
        while numbers.len() < 20 {
            match tap.next().await {
                Some(TapEvent::Message { message, .. }) => {
                    numbers.push(message.values::<u64>().unwrap()[1]);
                }
                Some(other) => panic!("{other:?}"),
                None => panic!("it ends"),
            }
        }
        assert!(
            numbers.windows(2).all(|pair| pair[1] == pair[0] + 1),
            "{numbers:?}"
        );
        drop(tap);
        site.stop(dataflow).await;
        site.close().await;
    });
}
