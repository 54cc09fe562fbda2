use proptest::prelude::*;

use super::*;
use crate::limits;

fn frame(length: usize) -> Vec<u8> {
    let mut out = Vec::new();
    assert_eq!(
        put(&mut out, |out| out.resize(out.len() + length, b'x')),
        length
    );
    out
}

#[test]
fn exactly_the_limit_is_taken_and_one_more_is_not() {
    let max = limits::FRAME_BYTES_MAX;
    let whole = frame(max);
    let step = next(&whole, max);
    assert!(matches!(step, Ok(Step::Frame { body, used }) if body.len() == max && used == max + 4));
    let long = (max as u32 + 1).to_be_bytes();
    let error = next(&long, max).unwrap_err();
    assert_eq!(
        error,
        FramingError::TooLong {
            length: 6145,
            max: 6144
        }
    );
    assert_eq!(
        error.to_string(),
        "the length prefix says 6145 bytes; a frame has at most 6144"
    );
    assert!(matches!(
        next(&[0xff; 4], max),
        Err(FramingError::TooLong {
            length: u32::MAX,
            ..
        })
    ));
    assert!(matches!(next(&[0xff; 4], usize::MAX), Ok(Step::Need(_))));
}

#[test]
fn length_zero_is_refused_at_once() {
    assert_eq!(next(&[0; 4], 10), Err(FramingError::Empty));
}

#[test]
fn says_what_is_missing() {
    let whole = frame(3);
    assert_eq!(next(&[], 10), Ok(Step::Need(4)));
    assert_eq!(next(&whole[..3], 10), Ok(Step::Need(1)));
    assert_eq!(next(&whole[..4], 10), Ok(Step::Need(3)));
    assert_eq!(next(&whole[..6], 10), Ok(Step::Need(1)));
}

proptest! {
    #[test]
    fn any_split_gives_the_same_frames(
        bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..8),
        pieces in prop::collection::vec(1..20usize, 1..8),
    ) {
        let mut wire = Vec::new();
        for body in &bodies {
            put(&mut wire, |out| out.extend_from_slice(body));
        }
        let mut sizes = pieces.into_iter().cycle();
        let (mut buf, mut read, mut sent) = (Vec::new(), Vec::new(), 0);
        while sent < wire.len() {
            let end = (sent + sizes.next().unwrap()).min(wire.len());
            buf.extend_from_slice(&wire[sent..end]);
            sent = end;
            while let Step::Frame { body, used } = next(&buf, 40).unwrap() {
                read.push(body.to_vec());
                buf.drain(..used);
            }
        }
        prop_assert!(buf.is_empty());
        prop_assert_eq!(read, bodies);
    }

    #[test]
    fn any_bytes_are_a_step_or_an_error(bytes: Vec<u8>, max: usize) {
        match next(&bytes, max) {
            Ok(Step::Frame { body, used }) => {
                prop_assert!(!body.is_empty() && body.len() <= max && used <= bytes.len());
            }
            Ok(Step::Need(missing)) => prop_assert!(missing > 0),
            Err(_) => {}
        }
    }
}
