use super::*;

fn mixed(value: u64) -> u64 {
    xxhash_rust::xxh3::xxh3_64(&value.to_le_bytes())
}

#[test]
fn what_was_added_is_found_before_and_after_merges_and_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut runs = Runs::open(dir.path(), 7).unwrap();
    let mut last = 0;
    for round in 1..=40u64 {
        let upto = last + round * 13;
        // Every position, and some hashes that meet.
        let mut entries: Vec<Entry> = (last + 1..=upto).map(|at| (mixed(at / 2), at)).collect();
        runs.add(&mut entries, upto).unwrap();
        while runs.merge(0).unwrap() {}
        last = upto;
    }
    assert!(runs.len() <= 3 * FAN_IN, "{}", runs.len());
    for _ in 0..2 {
        assert_eq!(runs.watermark(), last);
        for position in 1..=last {
            assert!(runs.find(mixed(position / 2)).unwrap().contains(&position));
        }
        let strangers =
            (0..100_000).filter(|at| !runs.find(mixed(1 << 40 | at)).unwrap().is_empty());
        assert_eq!(strangers.count(), 0);
        runs = Runs::open(dir.path(), 7).unwrap();
    }
}

#[test]
fn the_filter_lets_few_strangers_through() {
    let mut filter = Filter::new(100_000);
    for at in 0..100_000 {
        filter.insert(mixed(at));
    }
    assert!((0..100_000).all(|at| filter.may_have(mixed(at))));
    let through = (200_000..300_000)
        .filter(|at| filter.may_have(mixed(*at)))
        .count();
    assert!(through < 2_000, "{through}");
}

#[test]
fn a_hash_that_fills_pages() {
    let dir = tempfile::tempdir().unwrap();
    let mut runs = Runs::open(dir.path(), 7).unwrap();
    let mut entries: Vec<Entry> = (1..=2000).map(|at| (at / 700, at)).collect();
    runs.add(&mut entries, 2000).unwrap();
    for hash in 0..=2 {
        let expected = (1..=2000u64)
            .filter(|at| at / 700 == hash)
            .collect::<Vec<_>>();
        assert_eq!(runs.find(hash).unwrap(), expected);
    }
}

#[test]
fn damage_is_noticed_and_what_hangs_behind_it_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut runs = Runs::open(dir.path(), 7).unwrap();
    for round in 0..3u64 {
        runs.add(&mut [(mixed(round), round + 1)], round + 1)
            .unwrap();
    }
    let path = runs.runs[1].path.clone();
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&path, &bytes).unwrap();
    fs::write(dir.path().join("unfinished"), b"half").unwrap();
    assert_eq!(Runs::open(dir.path(), 7).unwrap().watermark(), 1);
    assert_eq!(Runs::open(dir.path(), 8).unwrap().watermark(), 0);
}

#[test]
fn merging_leaves_out_what_the_log_has_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let mut runs = Runs::open(dir.path(), 7).unwrap();
    for round in 0..FAN_IN as u64 {
        runs.add(&mut [(mixed(round), round + 1)], round + 1)
            .unwrap();
    }
    assert!(runs.merge(3).unwrap());
    assert!(runs.find(mixed(1)).unwrap().is_empty());
    assert_eq!(runs.find(mixed(2)).unwrap(), [3]);
}

/// A crash at each step of writing a run, or of merging some, leaves runs from which everything can
/// go on: whatever is added next, larger or smaller, is found, and so is all that was there before.
#[test]
fn d2_a_crash_between_any_two_steps_of_writing_a_run_costs_nothing() {
    let mut cut = 0;
    for next in [3u64, 40] {
        for step in 1.. {
            let dir = tempfile::tempdir().unwrap();
            let mut runs = Runs::open(dir.path(), 7).unwrap();
            let mut last = 0;
            let add = |runs: &mut Runs, count: u64| {
                let from = runs.watermark();
                let mut entries: Vec<Entry> = (from + 1..=from + count)
                    .map(|at| (mixed(at), at))
                    .collect();
                runs.add(&mut entries, from + count)
            };
            for _ in 1..FAN_IN {
                add(&mut runs, 10).unwrap();
                last += 10;
            }
            // The run that makes the merge, and the merge.
            runs.steps
                .0
                .store(step, std::sync::atomic::Ordering::Relaxed);
            let whole = add(&mut runs, 10).and_then(|()| runs.merge(0));
            if whole.is_ok() {
                break;
            }
            cut += 1;
            drop(runs);
            for _ in 0..2 {
                let mut runs = Runs::open(dir.path(), 7).unwrap();
                assert!([last, last + 10].contains(&runs.watermark()), "step {step}");
                last = runs.watermark();
                add(&mut runs, next).unwrap();
                last += next;
                while runs.merge(0).unwrap() {}
                for runs in [runs, Runs::open(dir.path(), 7).unwrap()] {
                    assert_eq!(runs.watermark(), last, "step {step}");
                    for position in 1..=last {
                        let found = runs.find(mixed(position)).unwrap();
                        assert_eq!(found, [position], "step {step}");
                    }
                }
            }
        }
    }
    assert!(cut >= 2 * (2 * 5 + FAN_IN), "{cut}");
}

#[test]
fn d2_only_names_that_say_what_they_cover_count() {
    let dir = tempfile::tempdir().unwrap();
    let mut runs = Runs::open(dir.path(), 7).unwrap();
    runs.add(&mut [(mixed(1), 1)], 1).unwrap();
    let whole = runs.runs[0].path.clone();
    drop(runs);
    let other = dir
        .path()
        .join("00000000000000000000-00000000000000000002.keys");
    for leftover in [dir.path().join(UNFINISHED), other] {
        fs::copy(&whole, &leftover).unwrap();
        fs::rename(&whole, dir.path().join("kept")).unwrap();
        assert_eq!(Runs::open(dir.path(), 7).unwrap().watermark(), 0);
        assert!(!leftover.exists());
        fs::rename(dir.path().join("kept"), &whole).unwrap();
    }
    assert_eq!(Runs::open(dir.path(), 7).unwrap().watermark(), 1);
}
