//! What a person must do to log in, as they see it (RFC 8628 §3.3): the address, the code, and a QR code where it fits.

use anstyle::Style;
use std::time::Duration;

use super::{
    qr,
    ui::{Line, Ui},
    words,
};

/// The facts of a device login.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Verification<'a> {
    /// The server.
    pub(crate) issuer: &'a str,
    /// Where to go.
    pub(crate) uri: &'a str,
    /// The same with the code in it, if the server gives one.
    pub(crate) uri_complete: Option<&'a str>,
    /// The code to type or to compare.
    pub(crate) user_code: &'a str,
    /// How long it is valid.
    pub(crate) expires_in: Duration,
}

impl Verification<'_> {
    /// The address to open.
    pub(crate) fn address(&self) -> &str {
        self.uri_complete.unwrap_or(self.uri)
    }

    /// Shows it. `size` is the terminal's, in columns and rows; without one there is no QR code.
    pub(crate) fn show(&self, ui: &Ui, size: Option<(usize, usize)>) {
        ui.say(Line::new().plain("To log in to ").field(self.issuer).plain(", open"));
        ui.say("");
        ui.say(Line::new().plain("    ").address(self.address()));
        ui.say("");
        // Beside the code the screen must hold the other lines as well.
        // Without colours it would be inside out on a dark screen, where many cameras cannot read it.
        let size = size.filter(|_| ui.err().color);
        if let Some(rows) = size.and_then(|(columns, rows)| qr::draw(self.address(), columns, rows.checked_sub(10)?)) {
            for row in rows {
                ui.say(Line::new().styled(qr::style(), &row));
            }
            ui.say("");
        }
        let act =
            if self.uri_complete.is_some() { "and check that it shows the code  " } else { "and enter the code  " };
        let valid = format!("  (valid for {}).", words::time(self.expires_in));
        ui.say(Line::new().plain(act).message(Style::new().bold(), self.user_code).said(&valid));
        ui.say("Device codes are a common phishing target: only continue if you started this login.");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::look::Look;

    fn verification() -> Verification<'static> {
        Verification {
            issuer: "https://tenant.example",
            uri: "https://tenant.example/activate",
            uri_complete: Some("https://tenant.example/activate?user_code=WDJB-MJHT"),
            user_code: "WDJB-MJHT",
            expires_in: Duration::from_secs(900),
        }
    }

    #[test]
    fn it_reads_as_the_contract_says() {
        let ui = Ui::test();
        verification().show(&ui, None);
        assert_eq!(
            ui.take().1,
            "To log in to https://tenant.example, open\n\n    \
             https://tenant.example/activate?user_code=WDJB-MJHT\n\n\
             and check that it shows the code  WDJB-MJHT  (valid for 15 minutes).\n\
             Device codes are a common phishing target: only continue if you started this login.\n"
        );
    }

    #[test]
    fn without_a_complete_address_the_code_is_entered() {
        let ui = Ui::test();
        Verification { uri_complete: None, user_code: "A\u{1b}[8mB\u{202e}", ..verification() }.show(&ui, None);
        let (_, err) = ui.take();
        assert!(err.contains("    https://tenant.example/activate\n"), "{err}");
        assert!(err.contains("and enter the code  A␛[8mB<U+202E>  (valid"), "{err}");
    }

    #[test]
    fn the_qr_code_is_black_on_white_and_only_where_it_fits() {
        let look = Look { terminal: true, color: true, ..Look::default() };
        let ui = Ui::test_with(look, false);
        verification().show(&ui, Some((80, 40)));
        let (_, err) = ui.take();
        assert!(err.contains("\u{1b}[38;5;16m\u{1b}[48;5;231m"), "{err}");
        verification().show(&ui, Some((80, 24)));
        assert!(!ui.take().1.contains('▀'));
    }
}
