//! Certificates as files: making one for trying out, and reading until when one is valid.

use rustls::pki_types::CertificateDer;

use super::tls::TlsError;

/// How long a certificate for trying out is valid.
const TRIAL_DAYS: i64 = 365;
const DAY_S: i64 = 24 * 60 * 60;

/// A certificate and its private key, both as PEM.
pub struct Pair {
    /// The certificate.
    pub certificate: String,
    /// Its private key.
    pub key: String,
}

/// Makes a certificate that vouches for itself: enough to try TLS out, worthless to strangers.
/// `names` are host names and addresses; `now_s` is the time, in seconds since 1970 UTC.
///
/// # Errors
/// If a name cannot stand in a certificate.
pub fn self_signed(names: &[String], now_s: i64) -> Result<Pair, String> {
    let key = rcgen::KeyPair::generate().map_err(|e| e.to_string())?;
    let mut params =
        rcgen::CertificateParams::new(names.to_vec()).map_err(|e| format!("{names:?}: {e}"))?;
    let day = |at: i64| {
        let (year, month, day) = date(at.div_euclid(DAY_S));
        rcgen::date_time_ymd(year, month, day)
    };
    params.not_before = day(now_s - DAY_S);
    params.not_after = day(now_s + (TRIAL_DAYS + 1) * DAY_S);
    params.distinguished_name = rcgen::DistinguishedName::new();
    let name = "Tidings, for trying out";
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, name);
    let certificate = params.self_signed(&key).map_err(|e| e.to_string())?;
    Ok(Pair {
        certificate: certificate.pem(),
        key: key.serialize_pem(),
    })
}

/// From when until when a certificate is valid, in seconds since 1970 UTC.
///
/// # Errors
/// If it is not the certificate that X.509 describes.
pub fn validity(certificate: &CertificateDer<'_>) -> Result<(i64, i64), TlsError> {
    let broken = || TlsError::Rustls(rustls::CertificateError::BadEncoding.into());
    read_validity(certificate).ok_or_else(broken)
}

/// Certificate → tbsCertificate → version?, serial, algorithm, issuer, validity (RFC 5280 §4.1).
fn read_validity(der: &[u8]) -> Option<(i64, i64)> {
    const SEQUENCE: u8 = 0x30;
    const VERSION: u8 = 0xa0;
    let mut outer = Der(der);
    let mut whole = Der(outer.expect(SEQUENCE)?);
    let mut tbs = Der(whole.expect(SEQUENCE)?);
    if tbs.0.first() == Some(&VERSION) {
        tbs.next()?;
    }
    let (_serial, _algorithm, _issuer) = (tbs.next()?, tbs.next()?, tbs.next()?);
    let mut validity = Der(tbs.expect(SEQUENCE)?);
    let from = time(validity.next()?)?;
    let until = time(validity.next()?)?;
    Some((from, until))
}

/// Values one after another.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (tag, rest) = self.0.split_first()?;
        let (first, mut rest) = rest.split_first()?;
        let length = if *first < 0x80 {
            usize::from(*first)
        } else {
            let count = usize::from(*first & 0x7f);
            if count > 4 || count > rest.len() {
                return None;
            }
            let (bytes, after) = rest.split_at(count);
            rest = after;
            bytes.iter().fold(0, |n, b| n << 8 | usize::from(*b))
        };
        if length > rest.len() {
            return None;
        }
        let (value, after) = rest.split_at(length);
        self.0 = after;
        Some((*tag, value))
    }

    fn expect(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.next()
            .filter(|(t, _)| *t == tag)
            .map(|(_, value)| value)
    }
}

/// `YYMMDDHHMMSSZ` (until 2049) or `YYYYMMDDHHMMSSZ`.
fn time((tag, text): (u8, &[u8])) -> Option<i64> {
    const UTC_TIME: u8 = 0x17;
    const GENERALIZED_TIME: u8 = 0x18;
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let (year, rest) = match tag {
        UTC_TIME => {
            let year: i64 = text.get(..2)?.parse().ok()?;
            (
                if year < 50 { 2000 + year } else { 1900 + year },
                text.get(2..)?,
            )
        }
        GENERALIZED_TIME => (text.get(..4)?.parse().ok()?, text.get(4..)?),
        _ => return None,
    };
    let two = |at: usize| rest.get(at..at + 2)?.parse::<i64>().ok();
    let (month, day) = (two(0)?, two(2)?);
    let (hour, minute, second) = (two(4)?, two(6)?, two(8)?);
    Some(days(year, month, day) * DAY_S + hour * 3600 + minute * 60 + second)
}

/// Days since 1970-01-01 of a date in the Gregorian calendar, counted in years that begin in March.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The date of a day since 1970-01-01.
fn date(day: i64) -> (i32, u8, u8) {
    let mut year = 1970 + day.div_euclid(366);
    while days(year + 1, 1, 1) <= day {
        year += 1;
    }
    let mut month = 12;
    while days(year, month, 1) > day {
        month -= 1;
    }
    let of_month = day - days(year, month, 1) + 1;
    let small = |n: i64| u8::try_from(n).unwrap_or(1);
    (
        i32::try_from(year).unwrap_or(i32::MAX),
        small(month),
        small(of_month),
    )
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::pem::PemObject as _;

    use super::*;

    #[test]
    fn dates_both_ways() {
        assert_eq!(days(1970, 1, 1), 0);
        assert_eq!(days(2000, 2, 29), 11_016);
        assert_eq!(date(11_016), (2000, 2, 29));
        for day in (-1000..60_000).step_by(7) {
            let (year, month, of_month) = date(day.max(0));
            let back = days(year.into(), month.into(), of_month.into());
            assert_eq!(back, day.max(0));
        }
    }

    #[test]
    fn a_trial_certificate_is_valid_for_a_year() {
        let now = 1_700_000_000;
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let pair = self_signed(&names, now).unwrap();
        let der = CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap();
        let (from, until) = validity(&der).unwrap();
        assert!(from <= now && now - from < 3 * DAY_S);
        assert!(until >= now + TRIAL_DAYS * DAY_S && until <= now + (TRIAL_DAYS + 2) * DAY_S);
        // Nothing that is cut off is taken for a certificate.
        for length in 0..der.len().min(200) {
            let cut = CertificateDer::from(der[..length].to_vec());
            assert!(validity(&cut).is_err());
        }
        assert!(self_signed(&["not a näme".to_owned()], now).is_err());
    }

    #[test]
    fn both_forms_of_time() {
        assert_eq!(time((0x17, b"231114221320Z")), Some(1_700_000_000));
        assert_eq!(time((0x18, b"20231114221320Z")), Some(1_700_000_000));
        assert_eq!(time((0x17, b"700101000000Z")), Some(0));
        assert_eq!(time((0x18, b"2023")), None);
        assert_eq!(time((0x02, b"231114221320Z")), None);
    }
}
