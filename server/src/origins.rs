//! Which web pages may use the server. A browser says which page asks (`Origin`) and which name the
//! page used (`Host`); neither can be forged by a page, but a page's own name can be made to lead here
//! (DNS rebinding), so that both say the same foreign name. Programs other than browsers send neither
//! `Origin` nor a cookie, and are not asked.
//!
//! Asked by `transport::websocket` for every upgrade, and by `api` for every request of a browser.

use std::net::IpAddr;

use crate::config::Settings;

/// What an operator sets about it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Web {
    /// Names by which browsers reach the server, without a port. Empty: on addresses that only this
    /// machine reaches its own names; any elsewhere.
    pub hosts: Vec<String>,
    /// Pages from elsewhere that may use it.
    pub origins: PageOrigins,
    /// `/metrics` needs no key from this machine, nor from behind a proxy on it.
    pub metrics_open: bool,
}

/// Pages that may use the server, beside its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PageOrigins {
    /// All.
    Any,
    /// These: `https://shop.example`, or `null` for pages that have no origin.
    These(Vec<String>),
}

impl Default for PageOrigins {
    fn default() -> PageOrigins {
        PageOrigins::These(Vec::new())
    }
}

impl PageOrigins {
    /// Reads `any`, or origins with commas between them.
    #[must_use]
    pub fn parse(text: &str) -> Option<PageOrigins> {
        if text == "any" {
            return Some(PageOrigins::Any);
        }
        list(text, |origin| {
            origin == "null" || authority(origin).is_some()
        })
        .map(PageOrigins::These)
    }
}

/// Reads names with commas between them.
pub(crate) fn parse_hosts(text: &str) -> Option<Vec<String>> {
    let clean = |c: char| c.is_ascii_alphanumeric() || "-.[]:".contains(c);
    list(text, |host| {
        host.chars().all(clean) && name_of(host) == host
    })
}

fn list(text: &str, good: impl Fn(&str) -> bool) -> Option<Vec<String>> {
    let items = text
        .split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty());
    let items: Vec<String> = items.map(str::to_ascii_lowercase).collect();
    items.iter().all(|item| good(item)).then_some(items)
}

/// `host` or `host:port` of an origin.
fn authority(origin: &str) -> Option<&str> {
    let rest = origin
        .strip_prefix("https://")
        .or_else(|| origin.strip_prefix("http://"))?;
    let clean = |c: char| c.is_ascii_alphanumeric() || "-.:[]".contains(c);
    (!rest.is_empty() && rest.chars().all(clean)).then_some(rest)
}

/// A host without its port.
fn name_of(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.chars().all(|c| c.is_ascii_digit()) && !name.contains(':') => {
            name
        }
        Some((name, port)) if name.ends_with(']') && port.chars().all(|c| c.is_ascii_digit()) => {
            name
        }
        _ => host,
    }
}

/// What a request says of the page that asks.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Page<'a> {
    pub(crate) host: Option<&'a str>,
    pub(crate) origin: Option<&'a str>,
    /// It carries what browsers send by themselves: a cookie, `Sec-Fetch-Site`.
    pub(crate) browser: bool,
}

/// Why a page may not use the server. For people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("this server is not known by the name in Host: see web.hosts")]
    Host,
    #[error("pages of this origin may not use this server: see web.origins")]
    Origin,
}

/// The rules of one kind of listener.
#[derive(Debug, Clone)]
pub(crate) struct Origins {
    web: Web,
    /// Only this machine reaches it.
    loopback: bool,
    /// The port counts: pages are served there. (Where none are, no page could have its origin.)
    port: bool,
}

impl Origins {
    /// For `listen.ws`.
    pub(crate) fn of_websocket(settings: &Settings) -> Origins {
        let address = settings.listen.ws;
        Origins {
            web: settings.web.clone(),
            loopback: address.is_some_and(|a| is_loopback(a.ip())),
            port: false,
        }
    }

    /// For `listen.http` and `listen.ocim`.
    pub(crate) fn of_http(settings: &Settings) -> Origins {
        let addresses = [settings.listen.http, settings.listen.ocim];
        Origins {
            web: settings.web.clone(),
            loopback: addresses.iter().flatten().all(|a| is_loopback(a.ip())),
            port: true,
        }
    }

    /// Whether this page may open a WebSocket, or have its request carried out.
    pub(crate) fn check(&self, page: Page<'_>) -> Result<(), Refused> {
        self.check_host(page)?;
        match page.origin {
            Some(origin) if !self.allows(origin, page.host) => Err(Refused::Origin),
            _ => Ok(()),
        }
    }

    /// Whether the page used one of the server's names.
    pub(crate) fn check_host(&self, page: Page<'_>) -> Result<(), Refused> {
        let asked = page.origin.is_some() || page.browser;
        match page.host {
            _ if !asked => Ok(()),
            Some(host) if self.knows(name_of(host)) => Ok(()),
            _ => Err(Refused::Host),
        }
    }

    /// A name of ours, or an address: that cannot be made to lead elsewhere.
    fn knows(&self, name: &str) -> bool {
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        if bare.parse::<IpAddr>().is_ok() {
            return true;
        }
        let name = name.to_ascii_lowercase();
        let name = name.trim_end_matches('.');
        let hosts = &self.web.hosts;
        let own = name == "localhost" || name.ends_with(".localhost");
        own || hosts.iter().any(|host| host == name) || (hosts.is_empty() && !self.loopback)
    }

    /// Whether this origin is allowed, or the server's own.
    pub(crate) fn allows(&self, origin: &str, host: Option<&str>) -> bool {
        match &self.web.origins {
            PageOrigins::Any => return true,
            PageOrigins::These(these) if these.iter().any(|o| o.eq_ignore_ascii_case(origin)) => {
                return true;
            }
            PageOrigins::These(_) => {}
        }
        let (Some(own), Some(host)) = (authority(origin), host) else {
            return false;
        };
        if !self.port {
            return name_of(own).eq_ignore_ascii_case(name_of(host));
        }
        let usual = if origin.starts_with("https") {
            ":443"
        } else {
            ":80"
        };
        let plain = |text: &str| {
            text.strip_suffix(usual)
                .unwrap_or(text)
                .to_ascii_lowercase()
        };
        plain(own) == plain(host)
    }
}

fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// The text for a setting that is none of these.
pub(crate) const HOSTS_ALLOWED: &str =
    "names as \"im.example.com\", with commas between them, or \"\"";
pub(crate) const ORIGINS_ALLOWED: &str =
    "origins as \"https://shop.example\", with commas between them, \"any\", or \"\"";

#[cfg(test)]
mod tests {
    use super::*;

    fn origins(web: Web, loopback: bool, port: bool) -> Origins {
        Origins {
            web,
            loopback,
            port,
        }
    }

    fn page<'a>(host: &'a str, origin: &'a str) -> Page<'a> {
        Page {
            host: Some(host),
            origin: (!origin.is_empty()).then_some(origin),
            browser: true,
        }
    }

    #[test]
    fn s10_this_machines_names_are_few() {
        let own = origins(Web::default(), true, true);
        for host in [
            "localhost:3000",
            "127.0.0.1",
            "[::1]:8080",
            "app.localhost",
            "LOCALHOST.",
        ] {
            let same = format!("http://{}", host.to_ascii_lowercase());
            assert_eq!(own.check(page(host, "")), Ok(()), "{host}");
            assert_eq!(own.check(page(host, &same)), Ok(()), "{host}");
            let evil = page(host, "https://evil.example");
            assert_eq!(own.check(evil), Err(Refused::Origin), "{host}");
            assert_eq!(
                own.check(page(host, "null")),
                Err(Refused::Origin),
                "{host}"
            );
        }
        // Rebinding: both say the same.
        for evil in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "",
        ] {
            let same = format!("http://{evil}");
            assert_eq!(own.check(page(evil, &same)), Err(Refused::Host), "{evil}");
            assert_eq!(own.check(page(evil, "")), Err(Refused::Host), "{evil}");
        }
        let program = Page {
            host: Some("whatever"),
            ..Page::default()
        };
        assert_eq!(own.check(program), Ok(()));
    }

    #[test]
    fn s10_names_and_pages_that_are_set() {
        let web = Web {
            hosts: parse_hosts("im.example, chat.example").unwrap(),
            origins: PageOrigins::parse("https://shop.example,null").unwrap(),
            metrics_open: false,
        };
        for loopback in [true, false] {
            let own = origins(web.clone(), loopback, true);
            for (host, origin, expected) in [
                ("im.example", "https://im.example", Ok(())),
                ("IM.example:443", "https://im.example", Ok(())),
                ("chat.example", "https://shop.example", Ok(())),
                ("im.example", "null", Ok(())),
                ("192.0.2.1", "http://192.0.2.1", Ok(())),
                ("im.example", "http://im.example:81", Err(Refused::Origin)),
                (
                    "im.example",
                    "https://shop.example.evil",
                    Err(Refused::Origin),
                ),
                ("evil.example", "https://evil.example", Err(Refused::Host)),
                ("evil.example", "https://shop.example", Err(Refused::Host)),
            ] {
                assert_eq!(own.check(page(host, origin)), expected, "{host} {origin}");
            }
        }
        let public = origins(Web::default(), false, true);
        assert_eq!(
            public.check(page("im.example", "http://im.example")),
            Ok(())
        );
        let evil = page("im.example", "http://evil.example");
        assert_eq!(public.check(evil), Err(Refused::Origin));
    }

    #[test]
    fn where_no_pages_are_served_the_port_is_none_of_theirs() {
        let own = origins(Web::default(), true, false);
        assert_eq!(
            own.check(page("localhost:3000", "http://localhost:8080")),
            Ok(())
        );
        let other = page("localhost:3000", "http://127.0.0.1:8080");
        assert_eq!(own.check(other), Err(Refused::Origin));
    }

    #[test]
    fn settings_are_read() {
        assert_eq!(PageOrigins::parse(""), Some(PageOrigins::default()));
        assert_eq!(PageOrigins::parse("any"), Some(PageOrigins::Any));
        for wrong in [
            "shop.example",
            "https://",
            "https://a/b",
            "https://a b",
            "*",
            "any,null",
        ] {
            assert_eq!(PageOrigins::parse(wrong), None, "{wrong}");
        }
        assert_eq!(parse_hosts(""), Some(Vec::new()));
        for wrong in ["https://a", "a:80", "a/b", "*.a"] {
            assert_eq!(parse_hosts(wrong), None, "{wrong}");
        }
    }
}
