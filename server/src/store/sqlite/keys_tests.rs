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
