//! The keys of `[auth]`, `[tls]` and `[limits]`: the second half of the table in `keys`.

use tidings_core::limits;

use super::keys::{Key, Kind, number, path, set, text};

pub(super) static KEYS: [Key; 22] = [
    Key {
        path: "auth.mode",
        kind: Kind::Text,
        default: "\"open\"",
        allowed: "\"open\", \"jwt\", \"webhook\" or \"accounts\"",
        doc: "How logins are verified. open: anybody is who he says he is. jwt: the token is a signed \
              JSON Web Token whose `sub` is the user id. webhook: an application of yours is asked. \
              accounts: the token is the password of an account (`tidings admin account add`).",
        option: None,
        set: |s, v| set(&mut s.auth.mode, v.parse().ok()),
    },
    Key {
        path: "auth.allow_open_on_public",
        kind: Kind::Flag,
        default: "false",
        allowed: "true or false",
        doc: "Permits auth.mode = \"open\" on addresses that other machines reach.",
        option: None,
        set: |s, v| set(&mut s.auth.allow_open_on_public, v.parse().ok()),
    },
    Key {
        path: "auth.visitor_days",
        kind: Kind::Number,
        default: "30",
        allowed: "days, 1 to 365",
        doc: "How long the signed identity of an anonymous visitor (`~…`) is valid; it can be renewed \
              until then.",
        option: None,
        set: |s, v| set(&mut s.auth.visitor_days, number(v, 1, 365)),
    },
    Key {
        path: "auth.jwt.algorithm",
        kind: Kind::Text,
        default: "\"HS256\"",
        allowed: "\"HS256\", \"RS256\", \"ES256\" or \"EdDSA\"",
        doc: "The only algorithm that is accepted, whatever a token says about itself.",
        option: None,
        set: |s, v| set(&mut s.auth.jwt.algorithm, v.parse().ok()),
    },
    Key {
        path: "auth.jwt.key_file",
        kind: Kind::Text,
        default: "\"\"",
        allowed: "the path of a file",
        doc: "HS256: its bytes are the key, one trailing newline cut off. Others: public keys as PEM, \
              one or several. Read again when it changes.",
        option: None,
        set: |s, v| set(&mut s.auth.jwt.key_file, Some(path(v))),
    },
    Key {
        path: "auth.jwt.old_key_file",
        kind: Kind::Text,
        default: "\"\"",
        allowed: "the path of a file",
        doc: "A second key that is accepted too, while keys are being changed.",
        option: None,
        set: |s, v| set(&mut s.auth.jwt.old_key_file, Some(path(v))),
    },
    Key {
        path: "auth.jwt.jwks",
        kind: Kind::Text,
        default: "\"\"",
        allowed: "the path of a file, or an https URL (http only on this machine)",
        doc: "A JSON Web Key Set instead of key_file; a URL is asked again when a token names a key \
              that it did not have.",
        option: None,
        set: |s, v| set(&mut s.auth.jwt.jwks, Some(text(v))),
    },
    Key {
        path: "auth.jwt.audience",
        kind: Kind::Text,
        default: "\"\"",
        allowed: "text",
        doc: "What a token's `aud` must contain. Without it a token that has an `aud` is refused: it \
              is for somebody else.",
        option: None,
        set: |s, v| set(&mut s.auth.jwt.audience, Some(text(v))),
    },
    Key {
        path: "auth.jwt.issuer",
        kind: Kind::Text,
        default: "\"\"",
        allowed: "text",
        doc: "What a token's `iss` must be; anything if empty.",
        option: None,
        set: |s, v| set(&mut s.auth.jwt.issuer, Some(text(v))),
    },
    Key {
        path: "auth.jwt.leeway_s",
        kind: Kind::Number,
        default: "60",
        allowed: "seconds, 0 to 60",
        doc: "By how much a token's `exp` and `nbf` may miss, because clocks differ.",
        option: None,
        set: |s, v| {
            let leeway = number(v, 0, limits::TOKEN_LEEWAY_S_MAX);
            set(&mut s.auth.jwt.leeway_s, leeway)
        },
    },
    Key {
        path: "auth.jwt.require_exp",
        kind: Kind::Flag,
        default: "true",
        allowed: "true or false",
        doc: "Refuses tokens without `exp`: they would be valid for ever.",
        option: None,
        set: |s, v| set(&mut s.auth.jwt.require_exp, v.parse().ok()),
    },
    Key {
        path: "auth.webhook.url",
        kind: Kind::Text,
        default: "\"\"",
        allowed: "an http or https URL",
        doc: "Gets each login as a POST of {\"user\", \"token\", \"extra\", \"address\"} and answers \
              {\"code\": 0} to let it in, or a code from 1025 that the client is told.",
        option: None,
        set: |s, v| {
            let url = v.is_empty() || v.starts_with("https://") || v.starts_with("http://");
            set(&mut s.auth.webhook.url, url.then(|| v.to_owned()))
        },
    },
    Key {
        path: "auth.webhook.timeout_ms",
        kind: Kind::Number,
        default: "3000",
        allowed: "milliseconds, 100 to 20000",
        doc: "After so long the webhook counts as down.",
        option: None,
        set: |s, v| set(&mut s.auth.webhook.timeout_ms, number(v, 100, 20_000)),
    },
    Key {
        path: "auth.webhook.cache_s",
        kind: Kind::Number,
        default: "60",
        allowed: "seconds, 0 to 86400",
        doc: "For so long a user who was let in is let in with the same token without asking again.",
        option: None,
        set: |s, v| set(&mut s.auth.webhook.cache_s, number(v, 0, 86_400)),
    },
    Key {
        path: "auth.webhook.when_down",
        kind: Kind::Text,
        default: "\"refuse\"",
        allowed: "\"refuse\" or \"allow_known\"",
        doc: "What a login meets while the webhook is down: a refusal, or, if the same user was let \
              in with the same token in the last 24 hours, the door.",
        option: None,
        set: |s, v| set(&mut s.auth.webhook.when_down, v.parse().ok()),
    },
    Key {
        path: "tls.cert_file",
        kind: Kind::Text,
        default: "\"\"",
        allowed: "the path of a file",
        doc: "The certificate and those that lead to its root, as PEM. Read again when it changes.",
        option: None,
        set: |s, v| set(&mut s.tls.cert_file, Some(path(v))),
    },
    Key {
        path: "tls.key_file",
        kind: Kind::Text,
        default: "\"\"",
        allowed: "the path of a file",
        doc: "Its private key, as PEM.",
        option: None,
        set: |s, v| set(&mut s.tls.key_file, Some(path(v))),
    },
    Key {
        path: "tls.tcp",
        kind: Kind::Flag,
        default: "true",
        allowed: "true or false",
        doc: "TLS around listen.tcp; false if a proxy in front does that.",
        option: None,
        set: |s, v| set(&mut s.tls.tcp, v.parse().ok()),
    },
    Key {
        path: "tls.ws",
        kind: Kind::Flag,
        default: "true",
        allowed: "true or false",
        doc: "TLS around listen.ws; false if a proxy in front does that.",
        option: None,
        set: |s, v| set(&mut s.tls.ws, v.parse().ok()),
    },
    Key {
        path: "tls.http",
        kind: Kind::Flag,
        default: "true",
        allowed: "true or false",
        doc: "TLS around listen.http; false if a proxy in front does that.",
        option: None,
        set: |s, v| set(&mut s.tls.http, v.parse().ok()),
    },
    Key {
        path: "tls.agents",
        kind: Kind::Flag,
        default: "true",
        allowed: "true or false",
        doc: "TLS around listen.agents.",
        option: None,
        set: |s, v| set(&mut s.tls.agents, v.parse().ok()),
    },
    Key {
        path: "limits.connections_per_address",
        kind: Kind::Number,
        default: "2000",
        allowed: "0 to 1000000; 0 is no limit",
        doc: "TCP and WebSocket connections that one address may have at a time; further ones are \
              closed. Many users behind one router or proxy count as one address.",
        option: None,
        set: |s, v| {
            set(
                &mut s.limits.connections_per_address,
                number(v, 0, 1_000_000),
            )
        },
    },
];
