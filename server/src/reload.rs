//! New settings for a server that runs: everything that can fail is tried first, so that they count
//! all or not at all.

use std::sync::Arc;
use std::time::Duration;

use tidings_core::ids::Name;

use crate::auth::Renewed;
use crate::config::{Change, ConfigError, Settings};
use crate::server::{Running, StartError};
use crate::transport::tls;

impl Running {
    /// Takes over what can change while it runs, and reads keys and certificates again; returns
    /// what differs from the settings in force: what is not `live` counts from the next start on.
    /// A group that is no longer named stays as it is.
    ///
    /// # Errors
    /// If the settings do not go together, or a file that they name cannot be used. Everything stays
    /// as it was then.
    pub async fn reload(&mut self, new: Settings) -> Result<Vec<Change>, StartError> {
        match new.validate() {
            Ok(()) | Err(ConfigError::NothingListens) => {}
            Err(error) => return Err(error.into()),
        }
        let mut changes = self.settings.changes(&new);
        let mut in_force = self.settings.clone();
        in_force.take_live(&new);
        let mut keep = |section: &str| {
            for change in &mut changes {
                change.live &= !change.key.starts_with(section);
            }
        };
        // Switching TLS on or off is a matter of the listeners.
        if self.tls.is_none() || new.tls.cert_file.is_none() {
            keep("tls.");
            in_force.tls = self.settings.tls.clone();
        }
        // What is said for another mode may not do for this one.
        if self.settings.auth.mode != new.auth.mode {
            keep("auth.");
            in_force.auth = self.settings.auth.clone();
        }
        let (pair, door) = self.prepare(&in_force).await?;
        for (group, members) in &in_force.groups {
            if self.settings.groups.get(group) == Some(members) {
                continue;
            }
            let members: Vec<Name> = members.iter().map(|m| Name::from(&**m)).collect();
            let group = Name::from(format!("#{group}"));
            self.router.set_group(group, members).await?;
        }
        if let (Some(tls), Some((files, pair))) = (&self.tls, pair) {
            tls.replace(files, pair);
        }
        self.admission.renew(door);
        self.gate
            .set_per_address(in_force.limits.connections_per_address);
        self.retention_days
            .send_replace(in_force.delivery.retention_days);
        self.shutdown = Duration::from_millis(in_force.shutdown_ms);
        self.settings = in_force;
        Ok(changes)
    }

    /// Reads what the settings name.
    async fn prepare(
        &self,
        new: &Settings,
    ) -> Result<(Option<tls::FilesAndPair>, Renewed), StartError> {
        let files = match (&self.tls, &new.tls.cert_file, &new.tls.key_file) {
            (Some(_), Some(certificate), Some(key)) => Some((certificate.clone(), key.clone())),
            _ => None,
        };
        let (door, before, auth) = (
            self.admission.clone(),
            self.settings.auth.clone(),
            new.auth.clone(),
        );
        let read = move || -> Result<_, StartError> {
            let pair = match files {
                Some((certificate, key)) => {
                    let pair = tls::read_pair(&certificate, &key)?;
                    Some(((certificate, key), Arc::new(pair)))
                }
                None => None,
            };
            Ok((pair, door.prepare(&before, &auth)?))
        };
        tokio::task::spawn_blocking(read)
            .await
            .map_err(|error| StartError::Cut(error.to_string()))?
    }
}
