//! The pretend directory: people, groups, and what was done to them. `api` speaks for it in Okta's shapes.

mod api;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

pub(super) use self::api::router;
use super::people::Person;

/// When everybody and everything in it was made.
const CREATED: &str = "2026-01-05T09:00:00.000Z";

/// One user.
#[derive(Debug)]
pub(super) struct User {
    pub(super) id: &'static str,
    /// The login is this name at example.com.
    name: &'static str,
    first_name: &'static str,
    last_name: &'static str,
    status: Status,
    changed: Option<DateTime<Utc>>,
    password_resets: u32,
}

/// The states of Okta's life cycle that can be reached here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Active,
    /// The password was reset and waits for the user.
    Recovery,
    /// Deactivated.
    Deprovisioned,
}

impl Status {
    fn word(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Recovery => "RECOVERY",
            Self::Deprovisioned => "DEPROVISIONED",
        }
    }
}

/// One group.
#[derive(Debug)]
pub(super) struct Group {
    id: &'static str,
    name: &'static str,
    description: &'static str,
    /// `members` has the users' names; of a built-in group nobody can be made a member.
    built_in: bool,
    members: Vec<&'static str>,
    changed: Option<DateTime<Utc>>,
}

/// Everything in the directory.
#[derive(Debug)]
pub(super) struct Directory {
    users: Vec<User>,
    groups: Vec<Group>,
}

impl User {
    fn login(&self) -> String {
        format!("{}@example.com", self.name)
    }

    /// Whether this is meant: by the id, the login, or the login without its domain, as Okta takes them.
    fn is(&self, id_or_login: &str) -> bool {
        self.id == id_or_login
            || self.login().eq_ignore_ascii_case(id_or_login)
            || self.name.eq_ignore_ascii_case(id_or_login)
    }

    fn json(&self, base: &str) -> Value {
        let changed = self.changed.map(time);
        let changed = changed.as_deref().unwrap_or(CREATED);
        json!({
            "id": self.id,
            "status": self.status.word(),
            "created": CREATED,
            "activated": CREATED,
            "statusChanged": changed,
            "lastLogin": null,
            "lastUpdated": changed,
            "passwordChanged": CREATED,
            "type": {"id": "otyDev1Default000001"},
            "profile": {
                "firstName": self.first_name, "lastName": self.last_name, "mobilePhone": null, "secondEmail": null,
                "login": self.login(), "email": self.login(),
            },
            "credentials": {"password": {}, "provider": {"type": "OKTA", "name": "OKTA"}},
            "_links": {"self": {"href": format!("{base}/users/{}", self.id)}},
        })
    }
}

impl Group {
    /// Whether this is meant: by the id, or by the name with dashes for blanks, which Okta itself does not take.
    fn is(&self, id_or_slug: &str) -> bool {
        self.id == id_or_slug || self.name.replace(' ', "-").eq_ignore_ascii_case(id_or_slug)
    }

    fn json(&self, base: &str) -> Value {
        let changed = self.changed.map(time);
        json!({
            "id": self.id,
            "created": CREATED,
            "lastUpdated": CREATED,
            "lastMembershipUpdated": changed.as_deref().unwrap_or(CREATED),
            "objectClass": ["okta:user_group"],
            "type": if self.built_in { "BUILT_IN" } else { "OKTA_GROUP" },
            "profile": {"name": self.name, "description": self.description},
            "_links": {"users": {"href": format!("{base}/groups/{}/users", self.id)}},
        })
    }
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[rustfmt::skip]
const USERS: [(&str, &str, &str, &str); 7] = [
    ("00uDev1AdaLovelace01", "ada", "Ada", "Lovelace"),
    ("00uDev2GraceHopper02", "grace", "Grace", "Hopper"),
    ("00uDev3AlanTuring003", "alan", "Alan", "Turing"),
    ("00uDev4BobKahn000004", "bob", "Bob", "Kahn"),
    ("00uDev5BarbaraL00005", "barbara", "Barbara", "Liskov"),
    ("00uDev6EdsgerD000006", "edsger", "Edsger", "Dijkstra"),
    ("00uDev7KatherineJ007", "katherine", "Katherine", "Johnson"),
];

impl Directory {
    /// As it is at the start.
    pub(super) fn new() -> Self {
        let user = |(id, name, first_name, last_name)| User {
            id,
            name,
            first_name,
            last_name,
            status: Status::Active,
            changed: None,
            password_resets: 0,
        };
        let group = |id, name, description, members: &[&'static str]| Group {
            id,
            name,
            description,
            built_in: false,
            members: members.to_vec(),
            changed: None,
        };
        let all = USERS.map(|(_, name, ..)| name);
        let everyone = Group { built_in: true, ..group("00gDev1Everyone00001", "Everyone", "All users", &all) };
        let groups = vec![
            everyone,
            group("00gDev2Engineering02", "Engineering", "They build it", &["ada", "alan", "barbara"]),
            group("00gDev3Admins0000003", "Admins", "They may change the directory", &["ada"]),
            group("00gDev4Finance000004", "Finance", "They pay for it", &["katherine"]),
            group("00gDev5HelpDesk00005", "Help Desk", "They answer", &["grace", "edsger"]),
        ];
        Self { users: USERS.map(user).into(), groups }
    }

    fn user(&mut self, id_or_login: &str) -> Option<&mut User> {
        self.users.iter_mut().find(|user| user.is(id_or_login))
    }

    /// The directory's entry of one of the tenant's people.
    fn of(&self, person: &Person) -> Option<&User> {
        self.users.iter().find(|user| user.name == person.key)
    }

    fn groups_of(&self, user: &User) -> impl Iterator<Item = &Group> {
        self.groups.iter().filter(|group| group.members.contains(&user.name))
    }

    /// What was done to whom, for the management port.
    pub(super) fn journal(&self) -> Value {
        let users = self.users.iter().map(|user| {
            let groups: Vec<&str> = self.groups_of(user).map(|group| group.name).collect();
            json!({
                "id": user.id, "login": user.login(), "status": user.status.word(),
                "password_resets": user.password_resets, "groups": groups,
            })
        });
        json!({"users": users.collect::<Vec<_>>()})
    }
}
