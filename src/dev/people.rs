//! The three people who live in the tenant.

use super::preset::Preset;

/// One of them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Person {
    /// The short name: user name, part of the subject, id on the pages.
    pub(super) key: &'static str,
    pub(super) name: &'static str,
    pub(super) email: &'static str,
    /// Keycloak's subjects are UUIDs and say nothing.
    uuid: &'static str,
}

pub(super) static PEOPLE: [Person; 3] = [
    Person { key: "ada", name: "Ada Lovelace", email: "ada@example.com", uuid: "7a1d3c52-0b8e-4f61-9d27-5f0c6f6b1815" },
    Person {
        key: "grace",
        name: "Grace Hopper",
        email: "grace@example.com",
        uuid: "c04e9f18-64b2-4b7d-8a35-2e91d70a1906",
    },
    Person {
        key: "alan",
        name: "Alan Turing",
        email: "alan@example.com",
        uuid: "e5b26d90-3f4a-4c0e-b1c8-94a8e2d31912",
    },
];

impl Person {
    /// The `sub` of this person: one and the same for every client, so a login and an approval can be compared.
    pub(super) fn subject(&self, preset: Preset) -> String {
        match preset {
            Preset::Auth0 => format!("auth0|{}", self.key),
            Preset::Keycloak => self.uuid.to_owned(),
            Preset::Oidc => self.key.to_owned(),
        }
    }

    /// Given and family name.
    pub(super) fn names(&self) -> (&'static str, &'static str) {
        self.name.split_once(' ').unwrap_or((self.name, ""))
    }
}

/// Who has this subject.
pub(super) fn by_subject(subject: &str, preset: Preset) -> Option<&'static Person> {
    PEOPLE.iter().find(|person| person.subject(preset) == subject)
}

/// Who is meant by a short name, a full name, an address or a subject.
pub(super) fn find(word: &str, preset: Preset) -> Option<&'static Person> {
    let by_word = PEOPLE
        .iter()
        .find(|person| person.key == word || person.name == word || person.email.eq_ignore_ascii_case(word));
    by_word.or_else(|| by_subject(word, preset))
}
