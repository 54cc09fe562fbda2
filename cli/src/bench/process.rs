//! What a process costs, from `/proc`.

use anyhow::Context as _;

/// A tick of `/proc/PID/stat` in microseconds: Linux tells user space 100 ticks a second on every
/// architecture, whatever the kernel's own.
const TICK_US: u64 = 10_000;

/// What a process has used so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Usage {
    /// User and system time of all its threads, also of those that ended.
    pub(super) cpu_us: u64,
    /// Resident memory.
    pub(super) rss_kib: u64,
}

/// Reads what process `pid` has used.
pub(super) fn usage(pid: u32) -> anyhow::Result<Usage> {
    let read = |file: &str| {
        let path = format!("/proc/{pid}/{file}");
        std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {path}; is process {pid} running here?"))
    };
    let (stat, status) = (read("stat")?, read("status")?);
    let cpu_us = cpu_us(&stat).with_context(|| format!("/proc/{pid}/stat cannot be read"))?;
    let rss_kib = rss_kib(&status).with_context(|| format!("process {pid} has no memory"))?;
    Ok(Usage { cpu_us, rss_kib })
}

fn cpu_us(stat: &str) -> Option<u64> {
    // The name stands in brackets and may hold blanks and brackets of its own.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((user + system) * TICK_US)
}

fn rss_kib(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_blanks_does_not_shift_the_fields() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 90 0 0 0 120 30 0 0 20 0 4 0 100 0 0";
        assert_eq!(cpu_us(stat), Some(1_500_000));
    }

    #[test]
    fn resident_memory_is_found_among_others() {
        assert_eq!(
            rss_kib("Name:\tx\nVmHWM:\t 9 kB\nVmRSS:\t  512 kB\n"),
            Some(512)
        );
        assert_eq!(rss_kib("Name:\tkthread\n"), None);
    }

    #[test]
    fn a_process_that_is_not_there_is_named() {
        let error = usage(u32::MAX).expect_err("no such process");
        assert!(error.to_string().contains("4294967295"), "{error}");
    }
}
