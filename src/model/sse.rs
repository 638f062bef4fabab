//! The body of an answer, taken apart into events (WHATWG HTML, "Server-sent events" §9.2.6).
//!
//! It reads what servers send rather than what they should send: any end of line, comments, several `data` lines, an end
//! without the last empty line, and a plain JSON text where a stream was asked for. Bytes come in any pieces; each is looked
//! at once, so the time is linear in the length, and no event may grow without an end.

/// What one event may weigh. The longest arguments of a tool call are far below it.
const MAX_EVENT: usize = 4 << 20;
/// What a body may weigh that is one JSON text.
const MAX_JSON: usize = 16 << 20;

/// An event that does not end.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong;

/// What the first character says about the body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Form {
    #[default]
    Unknown,
    Events,
    Json,
}

/// A body that is being read.
#[derive(Debug, Default)]
pub(super) struct Body {
    form: Form,
    /// What has not been taken apart yet, from `at` on.
    bytes: Vec<u8>,
    at: usize,
    /// Up to here there is no end of line.
    searched: usize,
    /// The data of the event that is being read, once it has ended.
    data: Vec<u8>,
    has_data: bool,
    /// The last line ended with CR: an LF that follows belongs to it.
    after_cr: bool,
}

impl Body {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// If an event does not come to its end.
    pub(super) fn push(&mut self, piece: &[u8]) -> Result<(), TooLong> {
        if self.at > 0 {
            self.bytes.drain(..self.at);
            self.searched -= self.at;
            self.at = 0;
        }
        self.bytes.extend_from_slice(piece);
        if self.form == Form::Unknown {
            self.recognise();
        }
        let limit = if self.form == Form::Json { MAX_JSON } else { MAX_EVENT };
        // A piece of the network is far smaller, so what is over the limit has not ended.
        if self.bytes.len() + self.data.len() > limit + piece.len() { Err(TooLong) } else { Ok(()) }
    }

    fn recognise(&mut self) {
        let text = self.bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&self.bytes);
        let skipped = self.bytes.len() - text.len();
        match text.iter().find(|byte| !byte.is_ascii_whitespace()) {
            None => return,
            Some(b'{' | b'[') => self.form = Form::Json,
            // The rest of a byte order mark may still be on its way.
            Some(0xef) if text.len() < 3 => return,
            Some(_) => self.form = Form::Events,
        }
        (self.at, self.searched) = (skipped, skipped);
    }

    /// The data of the next whole event.
    pub(super) fn next(&mut self) -> Option<&[u8]> {
        if self.form != Form::Events {
            return None;
        }
        if std::mem::take(&mut self.has_data) {
            self.data.clear();
        }
        while let Some(length) = self.bytes[self.searched..].iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            let (begin, end) = (self.at, self.searched + length);
            let ends_with_cr = self.bytes[end] == b'\r';
            (self.at, self.searched) = (end + 1, end + 1);
            if std::mem::replace(&mut self.after_cr, ends_with_cr) && begin == end && !ends_with_cr {
                continue;
            }
            if self.line(begin, end) {
                return Some(&self.data);
            }
        }
        self.searched = self.bytes.len();
        None
    }

    /// What is left when the body has come to its end: a JSON text, or an event whose last empty line is missing.
    pub(super) fn rest(&mut self) -> Option<&[u8]> {
        match self.form {
            Form::Unknown => None,
            Form::Json => Some(&self.bytes[self.at..]),
            Form::Events => {
                let (begin, end) = (self.at, self.bytes.len());
                self.line(begin, end);
                (self.at, self.searched) = (end, end);
                (!self.data.is_empty()).then_some(&*self.data)
            }
        }
    }

    /// One line without its end. Whether it ended an event that has data.
    fn line(&mut self, begin: usize, end: usize) -> bool {
        let line = &self.bytes[begin..end];
        if line.is_empty() {
            self.has_data = !self.data.is_empty();
            return self.has_data;
        }
        // A comment begins with a colon; names of events, ids and times to reconnect mean nothing here.
        if let Some(data) = line.strip_prefix(b"data:") {
            if !self.data.is_empty() {
                self.data.push(b'\n');
            }
            self.data.extend_from_slice(data.strip_prefix(b" ").unwrap_or(data));
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every event of a body that comes in pieces of this size.
    fn events(body: &[u8], size: usize) -> Vec<String> {
        let mut reader = Body::default();
        let mut found = Vec::new();
        for piece in body.chunks(size) {
            reader.push(piece).unwrap();
            while let Some(data) = reader.next() {
                found.push(String::from_utf8(data.to_vec()).unwrap());
            }
        }
        found.extend(reader.rest().map(|data| String::from_utf8(data.to_vec()).unwrap()));
        found
    }

    #[test]
    fn events_are_the_same_in_pieces_of_any_size() {
        let table: &[(&str, &[&str])] = &[
            ("data: a\n\ndata: b\n\n", &["a", "b"]),
            ("data: a\r\n\r\ndata: b\r\n\r\n", &["a", "b"]),
            ("data: a\r\rdata: b\r\r", &["a", "b"]),
            ("data:a\n\ndata:  b\n\n", &["a", " b"]),
            (": ping\n\n: ping\n\ndata: a\n\n", &["a"]),
            ("event: x\nid: 1\nretry: 5\ndata: a\n\n\n\n", &["a"]),
            ("data: {\ndata: }\n\n", &["{\n}"]),
            ("\u{feff}data: a\n\n", &["a"]),
            ("data: a\n\ndata: b", &["a", "b"]),
            ("data: a\n\ndata: b\n", &["a", "b"]),
            ("\n {\"a\":\n1}\n", &["\n {\"a\":\n1}\n"]),
            ("data:\n\ndata\n\n", &[]),
            ("", &[]),
        ];
        for (body, expected) in table {
            for size in [1, 2, 3, 7, 1000] {
                assert_eq!(events(body.as_bytes(), size), *expected, "{body:?} in pieces of {size}");
            }
        }
    }

    #[test]
    fn what_has_no_end_is_refused() {
        let piece = [b'x'; 1 << 16];
        for (head, limit) in [("data: ", MAX_EVENT), ("{", MAX_JSON), (" ", MAX_EVENT), ("data: x\ndata: ", MAX_EVENT)]
        {
            let mut reader = Body::default();
            reader.push(head.as_bytes()).unwrap();
            let taken = (0..).take_while(|_| reader.push(&piece).is_ok() && reader.next().is_none()).count();
            assert!(taken * piece.len() <= limit + 2 * piece.len(), "{head:?}: {taken}");
        }
    }
}
