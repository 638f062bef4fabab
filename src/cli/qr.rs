//! A QR code in half blocks. fast_qr's own drawing has a quiet zone of one module and turns inside out on a light
//! background, and many cameras read neither; so it is drawn here, black on white whatever the theme, with the four
//! modules of quiet zone that ISO/IEC 18004 asks for.

use fast_qr::{ECL, QRBuilder};

const QUIET: usize = 4;

/// Draws `text` as rows of half blocks. None if it does not fit into `columns` x `rows`.
pub(crate) fn draw(text: &str, columns: usize, rows: usize) -> Option<Vec<String>> {
    let code = QRBuilder::new(text).ecl(ECL::L).build().ok()?;
    let size = code.size;
    let side = size + 2 * QUIET;
    if side > columns || side.div_ceil(2) > rows {
        return None;
    }
    let dark = |x: usize, y: usize| {
        let (x, y) = (x.wrapping_sub(QUIET), y.wrapping_sub(QUIET));
        x < size && y < size && code[y][x].value()
    };
    let row = |top: usize| {
        (0..side)
            .map(|x| match (dark(x, top), dark(x, top + 1)) {
                (false, false) => ' ',
                (true, false) => '▀',
                (false, true) => '▄',
                (true, true) => '█',
            })
            .collect()
    };
    Some((0..side).step_by(2).map(row).collect())
}

/// Black on white, said in so many words: these two of the 256 colours belong to no theme.
pub(crate) fn style() -> anstyle::Style {
    anstyle::Ansi256Color(16).on(anstyle::Ansi256Color(231))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_a_quiet_zone_and_fits_or_is_left_out() {
        let text = "https://tenant.example/activate?user_code=WDJB-MJHT";
        let rows = draw(text, 80, 40).unwrap();
        let side = rows[0].chars().count();
        // Version 4 (33 modules) holds this address at level L: 29 + 8 or 33 + 8.
        assert!(side == 37 || side == 41, "{side}");
        assert_eq!(rows.len(), side.div_ceil(2));
        assert!(rows[0].chars().all(|c| c == ' ') && rows[1].chars().all(|c| c == ' '));
        assert!(rows.iter().all(|row| row.starts_with("    ") && row.ends_with("    ")));
        assert_eq!(draw(text, side - 1, 40), None);
        assert_eq!(draw(text, 80, rows.len() - 1), None);
    }
}
