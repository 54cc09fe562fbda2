//! Frames, modelled on the public conformance suite (its numbers in the names), in one piece and
//! in every cut that matters.

use std::borrow::Cow;

use super::*;

mod any;

const MAX: usize = 1 << 16;
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// What was read, owned, so that runs can be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Read {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>, String),
    Broken(ProtocolError),
}

impl From<Event<'_>> for Read {
    fn from(event: Event<'_>) -> Read {
        match event {
            Event::Text(text) => Read::Text(text.into_owned()),
            Event::Binary(bytes) => Read::Binary(bytes.into_owned()),
            Event::Ping(payload) => Read::Ping(payload.to_vec()),
            Event::Pong(payload) => Read::Pong(payload.to_vec()),
            Event::Close { code, reason } => Read::Close(code, reason.to_owned()),
        }
    }
}

/// Feeds `wire` in pieces of the given sizes, over and over; stops at the first error.
fn read_in(role: Role, max: usize, wire: &[u8], sizes: &[usize]) -> Vec<Read> {
    let mut decoder = Decoder::new(role, max);
    let (mut buf, mut read, mut sent) = (Vec::new(), Vec::new(), 0);
    let mut sizes = sizes.iter().cycle();
    while sent < wire.len() {
        let end = (sent + sizes.next().unwrap()).min(wire.len());
        buf.extend_from_slice(&wire[sent..end]);
        sent = end;
        loop {
            match decoder.next(&mut buf) {
                Ok((event, used)) => {
                    let more = event.is_some();
                    read.extend(event.map(Read::from));
                    buf.drain(..used);
                    if !more {
                        break;
                    }
                }
                Err(error) => {
                    read.push(Read::Broken(error));
                    return read;
                }
            }
        }
        assert!(buf.len() < HEADER_BYTES_MAX + 125);
    }
    read
}

/// The same in one piece and in many cuts.
fn read(wire: &[u8]) -> Vec<Read> {
    let whole = read_in(Role::Server, MAX, wire, &[usize::MAX / 2]);
    for sizes in [&[1][..], &[2], &[3], &[7], &[1, 5, 64], &[997]] {
        assert_eq!(read_in(Role::Server, MAX, wire, sizes), whole, "{sizes:?}");
    }
    whole
}

fn frame(opcode: Opcode, fin: bool, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    encode_frame(opcode, fin, Some(MASK), payload, &mut out);
    out
}

fn text(payload: &str) -> Vec<u8> {
    frame(Opcode::Text, true, payload.as_bytes())
}

/// A masked frame whose first bytes are as given.
fn raw(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = frame(Opcode::Text, true, payload);
    out[0] = first;
    out
}

fn broken(error: ProtocolError) -> Vec<Read> {
    vec![Read::Broken(error)]
}

#[test]
fn examples_of_the_rfc() {
    // RFC 6455 §5.7.
    let unmasked = b"\x81\x05Hello\x01\x03Hel\x80\x02lo\x89\x05Hello";
    let hello = || Read::Text("Hello".into());
    assert_eq!(
        read_in(Role::Client, MAX, unmasked, &[100]),
        [hello(), hello(), Read::Ping(b"Hello".to_vec())]
    );
    let masked = [
        0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58,
    ];
    assert_eq!(read(&masked), [hello()]);
    assert_eq!(text("Hello"), masked);
}

#[test]
fn case_1_lengths() {
    for length in [0, 1, 124, 125, 126, 127, 128, 4096, 65535, 65536] {
        let body = "*".repeat(length);
        assert_eq!(read(&text(&body)), [Read::Text(body.clone())]);
        let wire = frame(Opcode::Binary, true, body.as_bytes());
        assert_eq!(read(&wire), [Read::Binary(body.into_bytes())]);
    }
}

#[test]
fn case_2_pings_and_pongs() {
    for payload in [&b""[..], b"Hello", b"\x00\xff\xfe\xfd", &[0xfe; 125]] {
        assert_eq!(
            read(&frame(Opcode::Ping, true, payload)),
            [Read::Ping(payload.to_vec())]
        );
        assert_eq!(
            read(&frame(Opcode::Pong, true, payload)),
            [Read::Pong(payload.to_vec())]
        );
    }
    assert_eq!(
        read(&frame(Opcode::Ping, true, &[0xfe; 126])),
        broken(ProtocolError::ControlTooLong)
    );
    let ten = frame(Opcode::Ping, true, b"p").repeat(10);
    assert_eq!(read(&ten), vec![Read::Ping(b"p".to_vec()); 10]);
}

#[test]
fn case_3_reserved_bits() {
    for first in [0xc1, 0xa1, 0x91, 0xd1, 0xf1, 0xc2, 0xc9, 0xc8] {
        assert_eq!(read(&raw(first, b"x")), broken(ProtocolError::ReservedBits));
    }
    let after = [
        text("Hello"),
        raw(0xa1, b"x"),
        frame(Opcode::Ping, true, b""),
    ]
    .concat();
    assert_eq!(
        read(&after),
        [
            Read::Text("Hello".into()),
            Read::Broken(ProtocolError::ReservedBits)
        ]
    );
}

#[test]
fn case_4_reserved_opcodes() {
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        let error = ProtocolError::ReservedOpcode(opcode);
        assert_eq!(read(&raw(0x80 | opcode, b"")), broken(error));
        assert_eq!(error.code(), 1002);
    }
}

#[test]
fn case_5_fragments() {
    let hello = Read::Text("fragment1fragment2".into());
    let one = frame(Opcode::Text, false, b"fragment1");
    let two = frame(Opcode::Continuation, true, b"fragment2");
    let ping = frame(Opcode::Ping, true, b"ping");
    // 5.1, 5.2
    assert_eq!(
        read(&frame(Opcode::Ping, false, b"x")),
        broken(ProtocolError::ControlFragmented)
    );
    assert_eq!(
        read(&frame(Opcode::Pong, false, b"x")),
        broken(ProtocolError::ControlFragmented)
    );
    // 5.3 to 5.8
    assert_eq!(read(&[&*one, &two].concat()), std::slice::from_ref(&hello));
    assert_eq!(
        read(&[&*one, &ping, &two].concat()),
        [Read::Ping(b"ping".to_vec()), hello.clone()]
    );
    // 5.9 to 5.14
    for fin in [true, false] {
        let stray = frame(Opcode::Continuation, fin, b"x");
        assert_eq!(read(&stray), broken(ProtocolError::NothingToContinue));
        let after = [&*one, &two, &stray].concat();
        assert_eq!(
            read(&after),
            [
                hello.clone(),
                Read::Broken(ProtocolError::NothingToContinue)
            ]
        );
    }
    // 5.15, 5.18
    for opcode in [Opcode::Text, Opcode::Binary] {
        let wire = [&*one, &frame(opcode, true, b"fragment2")].concat();
        assert_eq!(read(&wire), broken(ProtocolError::Unfinished));
    }
    // 5.19: five fragments and pings between.
    let mut wire = Vec::new();
    let mut expected = Vec::new();
    for part in 1..=5 {
        let opcode = if part == 1 {
            Opcode::Text
        } else {
            Opcode::Continuation
        };
        wire.extend(frame(
            opcode,
            part == 5,
            format!("fragment{part}").as_bytes(),
        ));
        if part < 5 {
            wire.extend(frame(Opcode::Ping, true, b"pongme"));
            expected.push(Read::Ping(b"pongme".to_vec()));
        }
    }
    expected.push(Read::Text(
        "fragment1fragment2fragment3fragment4fragment5".into(),
    ));
    assert_eq!(read(&wire), expected);
}

#[test]
fn case_6_utf8_across_fragments() {
    // 6.1: nothing, in fragments.
    let empty = [
        frame(Opcode::Text, false, b""),
        frame(Opcode::Continuation, false, b""),
        frame(Opcode::Continuation, true, b""),
    ];
    assert_eq!(read(&empty.concat()), [Read::Text(String::new())]);
    // 6.2: whole, cut anywhere, octet by octet.
    let kosme = "Hello-µ@ßöäüàá-UTF-8!! κόσμε 𐍈😀\u{10ffff}\u{fffe}\u{0}";
    assert_eq!(read(&text(kosme)), [Read::Text(kosme.into())]);
    for at in 0..=kosme.len() {
        let (one, two) = kosme.as_bytes().split_at(at);
        let cut = [
            frame(Opcode::Text, false, one),
            frame(Opcode::Continuation, true, two),
        ];
        assert_eq!(read(&cut.concat()), [Read::Text(kosme.into())]);
    }
    let mut octets = frame(Opcode::Text, false, b"");
    for &byte in kosme.as_bytes() {
        octets.extend(frame(Opcode::Continuation, false, &[byte]));
    }
    octets.extend(frame(Opcode::Continuation, true, b""));
    assert_eq!(read(&octets), [Read::Text(kosme.into())]);
}

const WRONG: [&[u8]; 18] = [
    b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited", // 6.3
    b"\x80",
    b"\xbf",
    b"\xc0\xaf",
    b"\xc1\xbf",
    b"\xe0\x80\xaf",
    b"\xe0\x9f\xbf",
    b"\xf0\x80\x80\xaf",
    b"\xf0\x8f\xbf\xbf",
    b"\xf4\x90\x80\x80",
    b"\xf5\x80",
    b"\xf8\x88\x80\x80\x80",
    b"\xfe",
    b"\xff",
    b"\xed\xa0\x80",
    b"\xed\xbf\xbf",
    b"\xce\xba\xe1\xbd\xce",
    b"a\xe2\x28\xa1",
];

#[test]
fn case_6_wrong_utf8() {
    for wrong in WRONG {
        assert_eq!(
            read(&frame(Opcode::Text, true, wrong)),
            broken(ProtocolError::NotUtf8)
        );
        let fragments = [
            frame(Opcode::Text, false, wrong),
            frame(Opcode::Continuation, true, b""),
        ];
        assert_eq!(read(&fragments.concat()), broken(ProtocolError::NotUtf8));
        // Nobody minds it in a binary message.
        assert_eq!(
            read(&frame(Opcode::Binary, true, wrong)),
            [Read::Binary(wrong.to_vec())]
        );
    }
    // Cut off in mid-character: wrong only at the end.
    for cut in [
        &b"\xce"[..],
        b"\xe1\xbd",
        b"\xf0\x9f\x98",
        b"ok\xf4\x8f\xbf",
    ] {
        assert_eq!(
            read(&frame(Opcode::Text, true, cut)),
            broken(ProtocolError::NotUtf8)
        );
        assert_eq!(read(&frame(Opcode::Text, false, cut)), []);
    }
    assert_eq!(ProtocolError::NotUtf8.code(), 1007);
}

/// 6.4: the first byte that no text can have there fails, though frame and message go on.
#[test]
fn case_6_4_fails_fast() {
    for wrong in WRONG {
        let prefix = "κόσμε".as_bytes();
        let payload = [prefix, wrong, &[b'x'; 300]].concat();
        let bad = payload.len() - 300;
        let first_wrong = (0..=bad)
            .find(|&end| {
                std::str::from_utf8(&payload[..end]).is_err_and(|error| error.error_len().is_some())
            })
            .unwrap_or(bad + 1);
        for opcode_fin in [true, false] {
            let wire = frame(Opcode::Text, opcode_fin, &payload);
            let header = wire.len() - payload.len();
            let before = &wire[..header + first_wrong - 1];
            let upto = &wire[..header + first_wrong];
            for sizes in [&[1][..], &[6], &[usize::MAX / 2]] {
                assert_eq!(read_in(Role::Server, MAX, before, sizes), []);
                assert_eq!(
                    read_in(Role::Server, MAX, upto, sizes),
                    broken(ProtocolError::NotUtf8),
                    "{wrong:x?} in {sizes:?}"
                );
            }
        }
    }
}

#[test]
fn case_7_closing() {
    let close = |payload: &[u8]| read(&frame(Opcode::Close, true, payload));
    // 7.1: nothing after a close is read.
    let after = [
        frame(Opcode::Close, true, b""),
        text("late"),
        vec![0xff; 300],
    ]
    .concat();
    assert_eq!(read(&after), [Read::Close(None, String::new())]);
    // 7.1.6: a close in the middle of a message.
    let inside = [
        frame(Opcode::Text, false, &[b'x'; 9000]),
        frame(Opcode::Close, true, b"\x03\xe8"),
    ];
    assert_eq!(
        read(&inside.concat()),
        [Read::Close(Some(1000), String::new())]
    );
    // 7.3
    assert_eq!(close(b""), [Read::Close(None, String::new())]);
    assert_eq!(close(b"\x03"), broken(ProtocolError::CloseTooShort));
    assert_eq!(close(b"\x03\xe8"), [Read::Close(Some(1000), String::new())]);
    assert_eq!(
        close(b"\x03\xe8bye"),
        [Read::Close(Some(1000), "bye".into())]
    );
    let longest = [b"\x03\xe8".as_slice(), &[b'*'; 123]].concat();
    assert_eq!(close(&longest), [Read::Close(Some(1000), "*".repeat(123))]);
    let long = [b"\x03\xe8".as_slice(), &[b'*'; 124]].concat();
    assert_eq!(close(&long), broken(ProtocolError::ControlTooLong));
    assert_eq!(
        read(&frame(Opcode::Close, false, b"")),
        broken(ProtocolError::ControlFragmented)
    );
    // 7.5
    assert_eq!(
        close(b"\x03\xe8\xce\xba\xe1\xbd"),
        broken(ProtocolError::NotUtf8)
    );
    // 7.7, 7.9, 7.13
    for code in (1000..=1003)
        .chain(1007..=1013)
        .chain([3000, 3999, 4000, 4999])
    {
        assert_eq!(
            close(&u16::to_be_bytes(code)),
            [Read::Close(Some(code), String::new())]
        );
    }
    for code in [
        0, 999, 1004, 1005, 1006, 1014, 1015, 1016, 1100, 2000, 2999, 5000, 65535,
    ] {
        let error = ProtocolError::CloseCode(code);
        assert_eq!(close(&u16::to_be_bytes(code)), broken(error));
        assert_eq!(error.code(), 1002);
    }
}

#[test]
fn case_9_long_messages() {
    let max = 16 << 20;
    let body = vec![b'*'; max];
    let wire = frame(Opcode::Binary, true, &body);
    let expected = vec![Read::Binary(body.clone())];
    assert!(read_in(Role::Server, max, &wire, &[65536]) == expected);
    let mut fragments = Vec::new();
    for (index, part) in body.chunks(4096).enumerate() {
        let opcode = if index == 0 {
            Opcode::Binary
        } else {
            Opcode::Continuation
        };
        fragments.extend(frame(opcode, (index + 1) * 4096 == max, part));
    }
    assert!(read_in(Role::Server, max, &fragments, &[65536]) == expected);
    let long = "µ".repeat(1 << 19);
    assert!(read_in(Role::Server, max, &text(&long), &[1021]) == [Read::Text(long)]);
}

#[test]
fn too_long_fails_at_the_header() {
    let mut header = Vec::new();
    encode_header(Opcode::Text, true, Some(MASK), MAX + 1, &mut header);
    let error = ProtocolError::TooLong {
        length: 65537,
        max: MAX,
    };
    assert_eq!(read(&header), broken(error));
    assert_eq!(error.code(), 1009);
    assert_eq!(
        error.to_string(),
        "a message of 65537 bytes; at most 65536 are taken"
    );
    // Fragments count together, and the whole of a u64 does not overflow.
    let mut wire = frame(Opcode::Text, false, &[b'x'; MAX - 1]);
    let one_more = [&*wire, &frame(Opcode::Continuation, true, b"x")].concat();
    assert_eq!(read(&one_more), [Read::Text("x".repeat(MAX))]);
    encode_header(Opcode::Continuation, true, Some(MASK), 2, &mut wire);
    assert_eq!(read(&wire), broken(error));
    let huge = [
        b"\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff".as_slice(),
        &MASK,
    ]
    .concat();
    assert!(matches!(
        read(&huge)[..],
        [Read::Broken(ProtocolError::TooLong { .. })]
    ));
    let negative = [
        b"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff".as_slice(),
        &MASK,
    ]
    .concat();
    assert_eq!(read(&negative), broken(ProtocolError::LengthForm));
}

#[test]
fn lengths_in_a_longer_form_are_refused() {
    for header in [
        &b"\x82\xfe\x00\x7d"[..],
        b"\x82\xff\x00\x00\x00\x00\x00\x00\xff\xff",
    ] {
        assert_eq!(read(header), broken(ProtocolError::LengthForm));
    }
}

#[test]
fn each_role_demands_its_masks() {
    assert_eq!(read(b"\x81\x01a"), broken(ProtocolError::NotMasked));
    let masked = text("a");
    assert_eq!(
        read_in(Role::Client, MAX, &masked, &[1]),
        broken(ProtocolError::Masked)
    );
}

#[test]
fn whole_frames_are_borrowed_and_an_idle_decoder_is_small() {
    let mut decoder = Decoder::new(Role::Server, MAX);
    let mut wire = [
        text("one"),
        frame(Opcode::Binary, true, b"two"),
        text("three"),
    ]
    .concat();
    let (event, used) = decoder.next(&mut wire).unwrap();
    assert!(matches!(event, Some(Event::Text(Cow::Borrowed("one")))));
    let (event, more) = decoder.next(&mut wire[used..]).unwrap();
    assert!(matches!(event, Some(Event::Binary(Cow::Borrowed(b"two")))));
    // The last one in two pieces: taken over, then given away.
    let used = used + more;
    let (event, more) = decoder.next(&mut wire[used..used + 8]).unwrap();
    assert!(event.is_none() && more == 8 && !decoder.is_idle());
    let (event, _) = decoder.next(&mut wire[used + more..]).unwrap();
    assert!(matches!(event, Some(Event::Text(Cow::Owned(text))) if text == "three"));
    assert!(decoder.is_idle());
    assert!(size_of::<Decoder>() <= 64);
}

#[test]
fn nothing_is_read_after_an_error() {
    let mut decoder = Decoder::new(Role::Server, MAX);
    assert!(decoder.next(&mut raw(0xc1, b"x")).is_err());
    assert_eq!(
        decoder.next(&mut text("late")),
        Ok((None, text("late").len()))
    );
}

#[test]
fn close_frames_are_cut_to_size() {
    let mut out = Vec::new();
    encode_close(Some(1009), &"ü".repeat(100), None, &mut out);
    encode_close(None, "ignored", None, &mut out);
    let mut decoder = Decoder::new(Role::Client, MAX);
    let (event, used) = decoder.next(&mut out).unwrap();
    let reason = "ü".repeat(61);
    assert_eq!(
        event,
        Some(Event::Close {
            code: Some(1009),
            reason: &reason
        })
    );
    assert_eq!(&out[used..], b"\x88\x00");
}

#[test]
fn every_error_fits_a_close_frame() {
    let longest = ProtocolError::TooLong {
        length: u64::MAX,
        max: usize::MAX,
    };
    assert!(longest.to_string().len() <= 123);
}
