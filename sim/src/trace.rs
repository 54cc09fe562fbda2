//! What happened, line by line: a hash of all of it, the last lines for a report.

use std::collections::VecDeque;
use std::fmt;

const TAIL_LINES: usize = 60;

/// The trace of a run.
#[derive(Debug)]
pub(crate) struct Trace {
    print: bool,
    hash: u64,
    tail: VecDeque<String>,
}

impl Trace {
    pub(crate) fn new(print: bool) -> Trace {
        Trace {
            print,
            hash: 0xcbf2_9ce4_8422_2325,
            tail: VecDeque::new(),
        }
    }

    pub(crate) fn line(&mut self, now: u64, text: fmt::Arguments<'_>) {
        let line = format!("{:>4}.{:03} {text}", now / 1000, now % 1000);
        for byte in line.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        if self.print {
            println!("{line}");
        }
        if self.tail.len() >= TAIL_LINES {
            self.tail.pop_front();
        }
        self.tail.push_back(line);
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    pub(crate) fn tail(&self) -> Vec<String> {
        self.tail.iter().cloned().collect()
    }
}
