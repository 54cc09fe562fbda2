//! `tidings-sim --seed N | --seeds N [--from K] [--trace] [--brief]`: runs seeds, prints what failed.

use std::process::ExitCode;

use tidings_sim::{Options, Outcome, run};

struct Args {
    from: u64,
    count: u64,
    trace: bool,
    /// One line for each failed seed, not the end of its trace.
    brief: bool,
}

fn parse() -> Result<Args, String> {
    let mut args = Args {
        from: 0,
        count: 100,
        trace: false,
        brief: false,
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut number = || {
            let text = words
                .next()
                .ok_or_else(|| format!("{word} needs a number"))?;
            text.parse::<u64>()
                .map_err(|_| format!("{word}: {text} is not a number"))
        };
        match word.as_str() {
            "--seed" => {
                args.from = number()?;
                args.count = 1;
            }
            "--seeds" => args.count = number()?,
            "--from" => args.from = number()?,
            "--brief" => args.brief = true,
            "--trace" => args.trace = true,
            other => return Err(format!("unknown argument {other}")),
        }
    }
    Ok(args)
}

fn report(outcome: &Outcome, brief: bool) {
    let Some(violation) = &outcome.violation else {
        return;
    };
    println!("seed {} FAILED: {violation}", outcome.seed);
    if brief {
        return;
    }
    for line in &outcome.tail {
        println!("    {line}");
    }
}

fn main() -> ExitCode {
    let args = match parse() {
        Ok(args) => args,
        Err(error) => {
            eprintln!("{error}\nusage: --seed N | --seeds N [--from K] [--trace] [--brief]");
            return ExitCode::from(2);
        }
    };
    let options = Options {
        trace: args.trace,
        mutation: None,
    };
    let (mut failed, mut sums) = (Vec::new(), [0usize; 5]);
    for seed in args.from..args.from.saturating_add(args.count) {
        let outcome = run(seed, options);
        let counts = [
            outcome.stored,
            outcome.delivered,
            outcome.logins,
            outcome.crashes,
            outcome.unknown,
        ];
        for (sum, count) in sums.iter_mut().zip(counts) {
            *sum += count;
        }
        if outcome.violation.is_some() {
            report(&outcome, args.brief || failed.len() >= 3);
            failed.push(seed);
        }
    }
    let [stored, delivered, logins, crashes, unknown] = sums;
    println!(
        "{} seeds, {} failed; {stored} stored, {delivered} delivered, {logins} logins, \
         {crashes} crashes, {unknown} unknown outcomes",
        args.count,
        failed.len()
    );
    if failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        println!("failed: {failed:?}");
        ExitCode::FAILURE
    }
}
