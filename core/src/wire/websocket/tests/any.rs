//! Properties: any frames, any bytes, any cuts.

use proptest::prelude::*;

use super::*;

fn opcode() -> impl Strategy<Value = Opcode> {
    prop::sample::select(vec![
        Opcode::Continuation,
        Opcode::Continuation,
        Opcode::Text,
        Opcode::Text,
        Opcode::Binary,
        Opcode::Ping,
        Opcode::Pong,
        Opcode::Close,
    ])
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        any::<String>().prop_map(String::into_bytes),
        "[µ😀a]{0,80}".prop_map(String::into_bytes),
        any::<Vec<u8>>(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_split_reads_the_same(
        frames in prop::collection::vec((opcode(), any::<bool>(), payload()), 0..6),
        sizes in prop::collection::vec(1..40usize, 1..6),
        flip in prop::option::weighted(0.3, (any::<prop::sample::Index>(), any::<u8>())),
        max in 50..600usize,
    ) {
        let mut wire = Vec::new();
        for (opcode, fin, payload) in &frames {
            let mut payload = payload.as_slice();
            let mut fin = *fin;
            if matches!(opcode, Opcode::Ping | Opcode::Pong | Opcode::Close) {
                payload = &payload[..payload.len().min(125)];
                fin = true;
            }
            encode_frame(*opcode, fin, Some(MASK), payload, &mut wire);
        }
        if let Some((at, byte)) = flip && !wire.is_empty() {
            let at = at.index(wire.len());
            wire[at] ^= byte;
        }
        let whole = read_in(Role::Server, max, &wire, &[usize::MAX / 2]);
        prop_assert_eq!(read_in(Role::Server, max, &wire, &sizes), whole);
    }

    #[test]
    fn any_bytes_read_the_same(
        wire: Vec<u8>,
        sizes in prop::collection::vec(1..9usize, 1..4),
        client: bool,
    ) {
        let role = if client { Role::Client } else { Role::Server };
        let whole = read_in(role, 300, &wire, &[usize::MAX / 2]);
        prop_assert_eq!(read_in(role, 300, &wire, &sizes), whole);
    }

    #[test]
    fn messages_go_there_and_back(
        message in any::<String>(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        mask: [u8; 4],
    ) {
        let bytes = message.as_bytes();
        let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        ends.sort_unstable();
        ends.push(bytes.len());
        let (mut wire, mut start) = (Vec::new(), 0);
        for (index, &end) in ends.iter().enumerate() {
            let opcode = if index == 0 { Opcode::Text } else { Opcode::Continuation };
            encode_frame(opcode, index + 1 == ends.len(), Some(mask), &bytes[start..end], &mut wire);
            start = end;
        }
        prop_assert_eq!(read(&wire), [Read::Text(message)]);
    }
}
