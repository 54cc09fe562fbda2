use super::*;
use tidings_core::desk::Holiday;

fn at(text: &str) -> i64 {
    let at: Timestamp = text.parse().unwrap();
    at.as_millisecond()
}

/// Monday to Friday.
fn work(from: u32, to: u32) -> Vec<Opening> {
    let day = |day: u32| Opening {
        from_min: day * DAY_MIN + from,
        to_min: day * DAY_MIN + to,
    };
    (0..5).map(day).collect()
}

fn open(settings: &TeamSettings, text: &str) -> bool {
    standing(settings, at(text)).open
}

#[test]
fn b16_hours_follow_the_clocks_of_their_zone() {
    let berlin = TeamSettings {
        hours: work(9 * 60, 18 * 60),
        zone: Some("Europe/Berlin".into()),
        ..TeamSettings::default()
    };
    // Winter: UTC+1. Summer: UTC+2.
    assert!(!open(&berlin, "2026-01-15T07:59:59Z") && open(&berlin, "2026-01-15T08:00:00Z"));
    assert!(!open(&berlin, "2026-07-15T06:59:59Z") && open(&berlin, "2026-07-15T07:00:00Z"));
    // Friday to Monday over the change of clocks in between.
    let closed = standing(&berlin, at("2026-03-27T17:00:00Z"));
    let monday = Some(at("2026-03-30T07:00:00Z"));
    assert_eq!((closed.open, closed.until_ms), (false, monday));
    let opened = standing(&berlin, at("2026-03-30T07:00:00Z"));
    let evening = Some(at("2026-03-30T16:00:00Z"));
    assert_eq!((opened.open, opened.until_ms), (true, evening));
}

#[test]
fn b16_without_a_zone_the_fixed_offset_counts() {
    let settings = TeamSettings {
        hours: work(9 * 60, 18 * 60),
        utc_offset_min: 480,
        ..TeamSettings::default()
    };
    // Thursday 1970-01-01, 00:00 UTC is 8 o'clock there.
    assert!(!open(&settings, "1970-01-01T00:00:00Z"));
    assert!(open(&settings, "1970-01-01T01:00:00Z"));
    assert!(!open(&settings, "1970-01-01T10:00:00Z"));
    assert!(!open(&settings, "1970-01-03T01:00:00Z"), "Saturday");
    // Farther than any zone has ever been, as the limit allows.
    let far = TeamSettings {
        utc_offset_min: 18 * 60,
        ..settings
    };
    assert!(open(&far, "1970-01-01T15:30:00Z"), "Friday 9:30");
}

#[test]
fn b16_over_midnight_to_the_end_of_the_day_and_over_the_end_of_the_week() {
    let opening = |from_min: u32, to_min: u32| Opening { from_min, to_min };
    let settings = TeamSettings {
        // Monday 22:00 to 24:00 and Tuesday 00:00 to 06:00; Sunday 22:00 to Monday 06:00.
        hours: vec![
            opening(22 * 60, DAY_MIN),
            opening(DAY_MIN, DAY_MIN + 6 * 60),
            opening(6 * DAY_MIN + 22 * 60, 6 * 60),
        ],
        ..TeamSettings::default()
    };
    let monday = standing(&settings, at("2026-11-30T23:00:00Z"));
    let tuesday = Some(at("2026-12-01T06:00:00Z"));
    assert_eq!((monday.open, monday.until_ms), (true, tuesday), "no gap");
    assert!(open(&settings, "2026-11-29T22:00:00Z") && open(&settings, "2026-11-30T05:59:00Z"));
    assert!(!open(&settings, "2026-11-30T06:00:00Z"));
}

#[test]
fn b16_holidays_are_closed_or_have_hours_of_their_own() {
    let opening = |from_min: u32, to_min: u32| Opening { from_min, to_min };
    let holiday = |date: &str, hours: Vec<Opening>| Holiday {
        date: date.into(),
        hours,
    };
    let holidays = vec![
        holiday("2026-12-24", vec![opening(9 * 60, 12 * 60)]),
        holiday("2026-12-25", Vec::new()),
        holiday("2026-12-31", vec![opening(20 * 60, 2 * 60)]),
    ];
    let settings = TeamSettings {
        hours: work(9 * 60, 18 * 60),
        holidays: holidays.clone(),
        ..TeamSettings::default()
    };
    assert!(open(&settings, "2026-12-24T11:59:00Z"));
    let closed = standing(&settings, at("2026-12-24T12:00:00Z"));
    let monday = Some(at("2026-12-28T09:00:00Z"));
    assert_eq!((closed.open, closed.until_ms), (false, monday));
    // Over midnight, into a day that begins closed.
    assert!(open(&settings, "2027-01-01T01:59:00Z") && !open(&settings, "2027-01-01T02:00:00Z"));
    // Who is always there but on holidays.
    let always = TeamSettings {
        holidays,
        ..TeamSettings::default()
    };
    assert!(open(&always, "2026-12-23T03:00:00Z") && !open(&always, "2026-12-25T03:00:00Z"));
    let until = standing(&always, at("2026-12-23T03:00:00Z")).until_ms;
    assert_eq!(until, Some(at("2026-12-24T00:00:00Z")));
}

#[test]
fn b16_names_of_zones_and_days() {
    assert!(zone("Asia/Shanghai").is_some() && zone("Asia/Atlantis").is_none());
    assert!(day("2026-12-25").is_some());
    for wrong in ["2026-02-30", "20261225", "25.12.2026", "2026-12-25T00:00"] {
        assert!(day(wrong).is_none(), "{wrong}");
    }
}
