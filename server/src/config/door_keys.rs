//! The keys of `[auth]`, `[tls]` and `[limits]`: the second half of the table in `keys`.

use tidings_core::limits;

use super::keys::{Key, Kind, number, path, set, text};

pub(super) static KEYS: [Key; 27] = [
    Key {
        path: "auth.mode",
        kind: Kind::Text,
        default: "\"open\"",
        allowed: "\"open\", \"jwt\", \"webhook\" or \"accounts\"",
        doc: "How logins are verified. open: anybody is who he says he is. jwt: the token is a signed \
              JSON Web Token whose `sub` is the user id. webhook: an application of yours is asked. \
              accounts: the token is the password of an account (`tidings admin account add`).",
        option: None,
        place: place!(restart auth.mode),
        set: |s, v| set(&mut s.auth.mode, v.parse().ok()),
    },
    Key {
        path: "auth.allow_open_on_public",
        kind: Kind::Flag,
        default: "false",
        allowed: "true or false",
        doc: "Permits auth.mode = \"open\" on addresses that other machines reach.",
        option: None,
        place: place!(restart auth.allow_open_on_public),
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
        place: place!(live auth.visitor_days),
        set: |s, v| set(&mut s.auth.visitor_days, number(v, 1, 365)),
    },
    Key {
        path: "auth.visitors_burst",
        kind: Kind::Number,
        default: "60",
        allowed: "1 to 100000",
        doc: "So many new anonymous visitors may come at once from one network (an IPv4 address, an IPv6 \
              /64); many people behind one router share one.",
        option: None,
        place: place!(live auth.visitors_burst),
        set: |s, v| set(&mut s.auth.visitors_burst, number(v, 1, 100_000)),
    },
    Key {
        path: "auth.visitors_per_minute",
        kind: Kind::Number,
        default: "60",
        allowed: "1 to 60000",
        doc: "And then so many more a minute.",
        option: None,
        place: place!(live auth.visitors_per_minute),
        set: |s, v| set(&mut s.auth.visitors_per_minute, number(v, 1, 60_000)),
    },
    Key {
        path: "auth.session_outlives_token",
        kind: Kind::Flag,
        default: "false",
        allowed: "true or false",
        doc: "A session goes on when the token that let it in expires. Otherwise it ends then, and the \
              client logs in with a new one.",
        option: None,
        place: place!(live auth.session_outlives_token),
        set: |s, v| set(&mut s.auth.session_outlives_token, v.parse().ok()),
    },
    Key {
        path: "auth.trusted_proxies",
        kind: Kind::Text,
        default: "\"\"",
        allowed: "addresses and networks, separated by commas, as \"127.0.0.1, 10.0.0.0/8\"",
        doc: "Proxies whose X-Forwarded-For says where a request over HTTP comes from: it counts for \
              blocks, limits and the pace of guesses. Connections that are no HTTP come from the proxy \
              itself: their guesses are told apart by account alone.",
        option: None,
        place: place!(live auth.trusted_proxies),
        set: |s, v| {
            let parts = v.split(',').map(str::trim).filter(|part| !part.is_empty());
            let networks = parts.map(|part| part.parse().ok());
            set(&mut s.auth.trusted_proxies, networks.collect())
        },
    },
    Key {
        path: "auth.jwt.algorithm",
        kind: Kind::Text,
        default: "\"HS256\"",
        allowed: "\"HS256\", \"RS256\", \"ES256\" or \"EdDSA\"",
        doc: "The only algorithm that is accepted, whatever a token says about itself.",
        option: None,
        place: place!(live auth.jwt.algorithm),
        set: |s, v| set(&mut s.auth.jwt.algorithm, v.parse().ok()),
    },
    Key {
        path: "auth.jwt.key_file",
        kind: Kind::Text,
        default: "\"\"",
        allowed: "the path of a file",
        doc: "HS256: its bytes are the key, 32 at least, one trailing newline cut off. Others: public keys as PEM, \
              one or several. Read again when it changes.",
        option: None,
        place: place!(live auth.jwt.key_file),
        set: |s, v| set(&mut s.auth.jwt.key_file, Some(path(v))),
    },
    Key {
        path: "auth.jwt.old_key_file",
        kind: Kind::Text,
        default: "\"\"",
        allowed: "the path of a file",
        doc: "A second key that is accepted too, while keys are being changed.",
        option: None,
        place: place!(live auth.jwt.old_key_file),
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
        place: place!(live auth.jwt.jwks),
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
        place: place!(live auth.jwt.audience),
        set: |s, v| set(&mut s.auth.jwt.audience, Some(text(v))),
    },
    Key {
        path: "auth.jwt.issuer",
        kind: Kind::Text,
        default: "\"\"",
        allowed: "text",
        doc: "What a token's `iss` must be; anything if empty.",
        option: None,
        place: place!(live auth.jwt.issuer),
        set: |s, v| set(&mut s.auth.jwt.issuer, Some(text(v))),
    },
    Key {
        path: "auth.jwt.leeway_s",
        kind: Kind::Number,
        default: "60",
        allowed: "seconds, 0 to 60",
        doc: "By how much a token's `exp` and `nbf` may miss, because clocks differ.",
        option: None,
        place: place!(live auth.jwt.leeway_s),
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
        place: place!(live auth.jwt.require_exp),
        set: |s, v| set(&mut s.auth.jwt.require_exp, v.parse().ok()),
    },
    Key {
        path: "auth.webhook.url",
        kind: Kind::Text,
        default: "\"\"",
        allowed: "an https URL, or http on this machine (see auth.webhook.allow_http)",
        doc: "Gets each login as a POST of {\"user\", \"token\", \"extra\", \"address\"} and answers \
              {\"code\": 0} to let it in, or a code from 1025 that the client is told.",
        option: None,
        place: place!(live auth.webhook.url),
        set: |s, v| {
            let scheme = v.starts_with("https://") || v.starts_with("http://");
            let url = v.is_empty() || (scheme && v.parse::<axum::http::Uri>().is_ok());
            set(&mut s.auth.webhook.url, url.then(|| v.to_owned()))
        },
    },
    Key {
        path: "auth.webhook.allow_http",
        kind: Kind::Flag,
        default: "false",
        allowed: "true or false",
        doc: "Permits a URL with plain http to another machine, over a network that is yours.",
        option: None,
        place: place!(live auth.webhook.allow_http),
        set: |s, v| set(&mut s.auth.webhook.allow_http, v.parse().ok()),
    },
    Key {
        path: "auth.webhook.timeout_ms",
        kind: Kind::Number,
        default: "3000",
        allowed: "milliseconds, 100 to 20000",
        doc: "After so long the webhook counts as down.",
        option: None,
        place: place!(live auth.webhook.timeout_ms),
        set: |s, v| set(&mut s.auth.webhook.timeout_ms, number(v, 100, 20_000)),
    },
    Key {
        path: "auth.webhook.cache_s",
        kind: Kind::Number,
        default: "60",
        allowed: "seconds, 0 to 86400",
        doc: "For so long a user who was let in is let in with the same token without asking again.",
        option: None,
        place: place!(live auth.webhook.cache_s),
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
        place: place!(live auth.webhook.when_down),
        set: |s, v| set(&mut s.auth.webhook.when_down, v.parse().ok()),
    },
    Key {
        path: "tls.cert_file",
        kind: Kind::Text,
        default: "\"\"",
        allowed: "the path of a file",
        doc: "The certificate and those that lead to its root, as PEM. Read again when it changes.",
        option: None,
        place: place!(live tls.cert_file),
        set: |s, v| set(&mut s.tls.cert_file, Some(path(v))),
    },
    Key {
        path: "tls.key_file",
        kind: Kind::Text,
        default: "\"\"",
        allowed: "the path of a file",
        doc: "Its private key, as PEM.",
        option: None,
        place: place!(live tls.key_file),
        set: |s, v| set(&mut s.tls.key_file, Some(path(v))),
    },
    Key {
        path: "tls.tcp",
        kind: Kind::Flag,
        default: "true",
        allowed: "true or false",
        doc: "TLS around listen.tcp; false if a proxy in front does that.",
        option: None,
        place: place!(restart tls.tcp),
        set: |s, v| set(&mut s.tls.tcp, v.parse().ok()),
    },
    Key {
        path: "tls.ws",
        kind: Kind::Flag,
        default: "true",
        allowed: "true or false",
        doc: "TLS around listen.ws; false if a proxy in front does that.",
        option: None,
        place: place!(restart tls.ws),
        set: |s, v| set(&mut s.tls.ws, v.parse().ok()),
    },
    Key {
        path: "tls.http",
        kind: Kind::Flag,
        default: "true",
        allowed: "true or false",
        doc: "TLS around listen.http; false if a proxy in front does that.",
        option: None,
        place: place!(restart tls.http),
        set: |s, v| set(&mut s.tls.http, v.parse().ok()),
    },
    Key {
        path: "tls.agents",
        kind: Kind::Flag,
        default: "true",
        allowed: "true or false",
        doc: "TLS around listen.agents.",
        option: None,
        place: place!(restart tls.agents),
        set: |s, v| set(&mut s.tls.agents, v.parse().ok()),
    },
    Key {
        path: "limits.connections_per_address",
        kind: Kind::Number,
        default: "2000",
        allowed: "0 to 1000000; 0 is no limit",
        doc: "Connections that one address may have at a time, on all listeners together; further ones \
              are closed. Many users behind one router or proxy count as one address.",
        option: None,
        place: place!(live limits.connections_per_address),
        set: |s, v| {
            set(
                &mut s.limits.connections_per_address,
                number(v, 0, 1_000_000),
            )
        },
    },
];
