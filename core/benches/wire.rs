//! Costs of the wire formats, in nanoseconds per frame. Budget: about 130 ns to read a small frame.

use divan::{Bencher, black_box};
use tidings_core::wire::mobileimsdk::{Frame, decode, encode, encode_extended, login};
use tidings_core::wire::websocket::{Decoder, Opcode, Role, encode_frame};

fn main() {
    divan::main();
}

/// A frame's JSON, shown in the table by its name.
#[derive(Clone, Copy)]
struct Sample(&'static str, &'static str);

impl std::fmt::Display for Sample {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

/// A message as the Java client writes it, 64 characters of text.
const MESSAGE: &str = r#"{"bridge":false,"type":2,"dataContent":"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef","from":"alice","to":"bob","fp":"943ef0ca-11ab-4c00-9d1e-000000000001","QoS":true,"typeu":-1,"sm":-1}"#;
/// An acknowledgement.
const ACK: &str = r#"{"bridge":false,"type":4,"dataContent":"943ef0ca-11ab-4c00-9d1e-000000000001","from":"bob","to":"alice","QoS":false,"typeu":-1,"sm":-1}"#;
/// The message with JSON inside JSON.
const NESTED: &str = r#"{"bridge":false,"type":2,"dataContent":"{\"kind\":\"text\",\"text\":\"hello\",\"at\":1795289264146}","from":"alice","to":"bob","fp":"943ef0ca-11ab-4c00-9d1e-000000000001","QoS":true,"typeu":-1,"sm":-1}"#;
/// The message as iOS writes it, for the lenient reader.
const PRETTY: &str = "{\n  \"sm\" : -1,\n  \"dataContent\" : \"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\",\n  \"QoS\" : true,\n  \"typeu\" : -1,\n  \"fp\" : \"943EF0CA-11AB-4C00-9D1E-000000000001\",\n  \"to\" : \"bob\",\n  \"from\" : \"alice\",\n  \"type\" : 2,\n  \"bridge\" : false\n}";

#[divan::bench(args = [Sample("message", MESSAGE), Sample("ack", ACK), Sample("nested", NESTED), Sample("pretty", PRETTY)])]
fn read(bencher: Bencher, Sample(_, json): Sample) {
    bencher.bench(|| decode(black_box(json.as_bytes())));
}

#[divan::bench]
fn read_6_kib(bencher: Bencher) {
    let json = MESSAGE.replace("0123", &"x".repeat(1500));
    bencher.bench(|| decode(black_box(json.as_bytes())));
}

fn frame(json: &str) -> Frame<'_> {
    decode(json.as_bytes()).unwrap_or_default()
}

#[divan::bench(args = [Sample("message", MESSAGE), Sample("ack", ACK), Sample("nested", NESTED)])]
fn write(bencher: Bencher, Sample(_, json): Sample) {
    let frame = frame(json);
    let mut out = Vec::with_capacity(4096);
    bencher.bench_local(|| {
        out.clear();
        encode(black_box(&frame), &mut out);
        out.len()
    });
}

#[divan::bench]
fn write_extended(bencher: Bencher) {
    let frame = frame(MESSAGE);
    let mut out = Vec::with_capacity(4096);
    bencher.bench_local(|| {
        out.clear();
        encode_extended(black_box(&frame), 1_234_567, 1_795_289_264_146, &mut out);
        out.len()
    });
}

#[divan::bench]
fn read_login(bencher: Bencher) {
    let json = r#"{"loginUserId":"alice","loginToken":"0123456789abcdef","firstLoginTime":0}"#;
    bencher.bench(|| login::decode_login(black_box(json)));
}

#[divan::bench(args = [64, 200, 1024, 65536])]
fn websocket_read(bencher: Bencher, length: usize) {
    let mut decoder = Decoder::new(Role::Server, 65536);
    // Reading unmasks in place: a mask of zeros leaves the bytes as they are for the next round.
    let mut plain = Vec::new();
    encode_frame(
        Opcode::Text,
        true,
        Some([0; 4]),
        &vec![b'x'; length],
        &mut plain,
    );
    bencher.bench_local(|| {
        let read = decoder.next(black_box(&mut plain));
        read.is_ok_and(|(event, _)| event.is_some())
    });
}
