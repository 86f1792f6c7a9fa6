//! The table: a row per figure, a column per side, and how many times better than dora's own daemon.
//!
//! Absent: measuring.

use super::Round;
use super::case::{Case, Side};
use super::footprint::{Footprint, NAME};
use crate::figures::{median, percentile, short};
use crate::outcome::Outcome;

/// Which way is better.
#[derive(Clone, Copy)]
enum Better {
    Less,
    More,
}

/// Prints it.
pub fn print(cases: &[(Case, Vec<Round<Outcome>>)], idle: &[Round<Footprint>]) {
    println!(
        "| what | dora 1.1.0 | this daemon, the same nodes | better by | this daemon, plugins | better by |"
    );
    println!("| --- | --- | --- | --- | --- | --- |");
    for (case, rounds) in cases {
        let name = case.name();
        if case.flood {
            row(&name, rounds, Better::More, Outcome::rate);
            row(
                &format!("{name}: of 100 sent, lost"),
                rounds,
                Better::Less,
                lost,
            );
        } else {
            row(
                &format!("{name}, p50 us"),
                rounds,
                Better::Less,
                Outcome::p50,
            );
            row(&format!("{name}, p99 us"), rounds, Better::Less, |it| {
                percentile(&it.times, 99.0)
            });
        }
    }
    if !idle.is_empty() {
        let seconds = |it: &Footprint| Some(it.start.as_secs_f64());
        row(
            &format!("{NAME}: start until all run, s"),
            idle,
            Better::Less,
            seconds,
        );
        let megabytes = |it: &Footprint| Some(it.usage?.memory as f64 / 1e6);
        row(
            &format!("{NAME}: memory, MB"),
            idle,
            Better::Less,
            megabytes,
        );
        let threads = |it: &Footprint| Some(it.usage?.threads as f64);
        row(&format!("{NAME}: threads"), idle, Better::Less, threads);
        row(
            &format!("{NAME}, idle: % of a core"),
            idle,
            Better::Less,
            |it| it.busy,
        );
    }
}

fn lost(outcome: &Outcome) -> Option<f64> {
    Some(outcome.lost() as f64 * 100.0 / outcome.sent as f64)
}

fn row<T>(name: &str, rounds: &[Round<T>], better: Better, figure: impl Fn(&T) -> Option<f64>) {
    let of = |side: Side| {
        let round = rounds.iter();
        round.map(move |round| round.get(side as usize)?.as_ref())
    };
    let figure = &figure;
    let cell = |side| {
        let figures = of(side).filter_map(|it| figure(it?));
        median(figures).map_or_else(|| "–".to_owned(), short)
    };
    let ratio = |side| {
        let pairs = of(Side::Theirs).zip(of(side));
        let ratios = pairs.filter_map(|(theirs, here)| {
            let (theirs, here) = (figure(theirs?)?, figure(here?)?);
            Some(match better {
                Better::Less => theirs / here,
                Better::More => here / theirs,
            })
        });
        // Nothing lost is not so many times better.
        let told = median(ratios).filter(|ratio| ratio.is_finite());
        told.map_or_else(String::new, |ratio| format!("{} x", short(ratio)))
    };
    println!(
        "| {name} | {} | {} | {} | {} | {} |",
        cell(Side::Theirs),
        cell(Side::Ours),
        ratio(Side::Ours),
        cell(Side::Plugins),
        ratio(Side::Plugins)
    );
}
