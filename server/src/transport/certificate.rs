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
        let at = jiff::Timestamp::from_second(at).map_err(|e| e.to_string())?;
        let date = jiff::tz::TimeZone::UTC.to_datetime(at).date();
        let small = |n: i8| u8::try_from(n).map_err(|e| e.to_string());
        let (month, day) = (small(date.month())?, small(date.day())?);
        Ok::<_, String>(rcgen::date_time_ymd(date.year().into(), month, day))
    };
    params.not_before = day(now_s - DAY_S)?;
    params.not_after = day(now_s + (TRIAL_DAYS + 1) * DAY_S)?;
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
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).map_err(|_| broken())?;
    let validity = parsed.validity();
    Ok((
        validity.not_before.timestamp(),
        validity.not_after.timestamp(),
    ))
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::pem::PemObject as _;

    use super::*;

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
}
