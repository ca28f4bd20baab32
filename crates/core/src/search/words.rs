//! From text to words, alike for memories and queries.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use unicode_segmentation::UnicodeSegmentation;

/// `text` as [`words`] takes it: in lower case and in the normalization form NFKC (UAX #15), so that composed and
/// decomposed letters, ligatures and full-width forms are one. Characters that only steer line breaks and joining are
/// dropped, since they stand inside of words.
pub fn normal(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    text.nfkc().filter(|c| !is_joiner(*c)).flat_map(char::to_lowercase).collect()
}

/// Soft hyphen, zero-width non-joiner and joiner, word joiner, zero-width no-break space.
fn is_joiner(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200c}' | '\u{200d}' | '\u{2060}' | '\u{feff}')
}

/// The words of a [`normal`] text by UAX #29, taken apart further where a searcher would: at apostrophes (`l'homme`,
/// `user's`), at `_`, and at points that are not in a number (`example.com`, but `3.14`). In scripts that put no spaces
/// between words a word is one character.
pub fn words(normal: &str) -> impl Iterator<Item = &str> {
    normal.unicode_words().flat_map(pieces)
}

fn pieces(word: &str) -> impl Iterator<Item = &str> {
    let mut rest = word;
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let end = end_of_piece(rest);
            let piece = &rest[..end];
            let mut after = rest[end..].chars();
            after.next();
            rest = after.as_str();
            if !piece.is_empty() {
                return Some(piece);
            }
        }
        None
    })
}

fn end_of_piece(text: &str) -> usize {
    let mut before = None;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let next = chars.peek().map(|(_, next)| *next);
        let in_number = matches!(c, '.' | ',') && is_digit(before) && is_digit(next);
        if !(in_number || c.is_alphanumeric() || is_combining_mark(c)) {
            return at;
        }
        before = Some(c);
    }
    text.len()
}

fn is_digit(c: Option<char>) -> bool {
    c.is_some_and(char::is_numeric)
}

/// `word` without its diacritics: the combining marks of Latin, Greek and Cyrillic (U+0300 to U+036F) go, letters with a
/// stroke become their base, ligatures are spelt out. Marks of other scripts are letters of their own and stay.
pub fn fold(word: &str) -> Cow<'_, str> {
    if word.is_ascii() {
        return Cow::Borrowed(word);
    }
    let mut out = String::with_capacity(word.len());
    for c in word.nfd().filter(|c| !matches!(c, '\u{300}'..='\u{36f}')) {
        match spelt(c) {
            Some(base) => out.push_str(base),
            None => out.push(c),
        }
    }
    Cow::Owned(if out.is_ascii() { out } else { out.nfc().collect() })
}

/// Letters that Unicode does not decompose, though they are typed without their stroke or as two.
fn spelt(c: char) -> Option<&'static str> {
    Some(match c {
        'ß' => "ss",
        'æ' => "ae",
        'œ' => "oe",
        'ø' => "o",
        'ł' => "l",
        'đ' | 'ð' => "d",
        'þ' => "th",
        'ħ' => "h",
        'ı' => "i",
        'ς' => "σ",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let normal = normal(text);
        assert_eq!(words(&normal).collect::<Vec<_>>().join(" "), expected, "{text}");
    }

    #[test]
    fn words_are_found_whatever_stands_between_them() {
        check("Hello, World!", "hello world");
        check("user_id don't l'homme O\u{2019}Brien", "user id don t l homme o brien");
        check("api.example.com v1.2.3 3.14 1,000 10:30", "api example com v1.2.3 3.14 1,000 10 30");
        check("e-mail (well-known) C++ a/b", "e mail well known c a b");
        check("数据 かな", "数 据 か な");
        check("  \t…—!?🎉 ", "");
    }

    #[test]
    fn forms_of_one_character_are_one() {
        check("ﬁle Ｆｕｌｌ e\u{301}te\u{301} hyphen\u{ad}ated ÉTÉ", "file full été hyphenated été");
        check("STRASSE Straße", "strasse straße");
    }

    #[test]
    fn folding_drops_latin_diacritics_and_keeps_the_vowels_of_others() {
        for (word, expected) in [
            ("müller", "muller"),
            ("straße", "strasse"),
            ("œuvre", "oeuvre"),
            ("señor", "senor"),
            ("ёлка", "елка"),
            ("łódź", "lodz"),
            ("कि", "कि"),
            ("한글", "한글"),
        ] {
            assert_eq!(fold(word), expected);
        }
    }
}
