//! Which languages a text is in, and what a word becomes in each.
//!
//! Nobody states the language of a memory, so its row does: it holds the stems of the languages that its stop words
//! speak for. A query needs no language, because it has one stem for each and uses those of the row at hand. A word
//! therefore always finds itself; a wrong guess costs inflections only.
//!
//! Diacritics are folded in every language. In German, French and Spanish they are folded after stemming, which depends
//! on them; the German stemmer also takes `ae`, `oe`, `ue` and `ss` for `ä`, `ö`, `ü` and `ß`. English has none of its
//! own, so there they are folded before: `résumés` is `resum`.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

use snowball_stemmers_rs::{Algorithm, Stemmer};

use super::words::fold;
use crate::json::sha256_hex;

/// A language with stems and stop words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// Snowball's English (Porter 2).
    English,
    /// Snowball's German.
    German,
    /// Snowball's French.
    French,
    /// Snowball's Spanish.
    Spanish,
}

/// Bytes of a term. A longer word is an id or encoded data, told apart by its digest.
pub(super) const MAX_TERM_BYTES: usize = 64;

impl Language {
    /// All, in the order of their bits in [`Languages`].
    pub const ALL: [Self; 4] = [Self::English, Self::German, Self::French, Self::Spanish];

    fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
            Self::French => "fr",
            Self::Spanish => "es",
        }
    }

    fn stemmer(self) -> Stemmer {
        Stemmer::create(match self {
            Self::English => Algorithm::English,
            Self::German => Algorithm::German,
            Self::French => Algorithm::French,
            Self::Spanish => Algorithm::Spanish,
        })
    }

    /// What `word`, in lower case, is indexed as: its stem without diacritics, 1 to 64 bytes. Beyond that it is 8
    /// letters, a control character and 64 bits of its SHA-256: two such words share a term with a chance of 1 in 2^64.
    pub fn term(self, word: &str) -> Cow<'_, str> {
        if word.len() > MAX_TERM_BYTES {
            return Cow::Owned(digest(word));
        }
        let term = match self {
            Self::English => match fold(word) {
                Cow::Borrowed(word) => self.stemmer().stem(word),
                Cow::Owned(word) => Cow::Owned(self.stemmer().stem(&word).into_owned()),
            },
            Self::German | Self::French | Self::Spanish => match self.stemmer().stem(word) {
                Cow::Borrowed(stem) => fold(stem),
                Cow::Owned(stem) => Cow::Owned(fold(&stem).into_owned()),
            },
        };
        match term.len() {
            0 => Cow::Borrowed(word),
            1..=MAX_TERM_BYTES => term,
            _ => Cow::Owned(digest(word)),
        }
    }
}

fn digest(word: &str) -> String {
    let start: String = word.chars().take(8).collect();
    let hash = sha256_hex(word.as_bytes());
    format!("{start}\u{1}{}", &hash[..16])
}

/// A set of languages; bit n is `Language::ALL[n]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Languages(u8);

impl Languages {
    /// How many such sets there are, the empty one included.
    pub(super) const SETS: usize = 1 << Language::ALL.len();

    /// The set with these bits, if all of them are languages and there is one.
    pub(super) fn from_bits(bits: u8) -> Option<Self> {
        (bits != 0 && usize::from(bits) < Self::SETS).then_some(Self(bits))
    }

    pub(super) fn bits(self) -> u8 {
        self.0
    }

    /// Whether they have a language in common.
    pub fn meet(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Those in the set.
    pub fn iter(self) -> impl Iterator<Item = Language> {
        Language::ALL.into_iter().enumerate().filter(move |(n, _)| self.0 & 1 << n != 0).map(|(_, language)| language)
    }

    /// The languages that `word` is a stop word of.
    pub fn of_stop_word(word: &str) -> Self {
        Self(STOP_WORDS.get(word).copied().unwrap_or_default())
    }

    /// The languages that the words of a text, with how often each occurs, are likely to be in; never none.
    ///
    /// Each occurrence of a stop word speaks for the languages that have it. With v votes a language is in when
    /// (v + 3) / (most + 3) is at least 3/4: one stop word decides nothing, two to none do, and a text half in one
    /// language and half in another is in both.
    pub fn detect<'a>(words: impl Iterator<Item = (&'a str, u32)>) -> Self {
        let mut votes = [0_u64; Language::ALL.len()];
        for (word, count) in words {
            let languages = Self::of_stop_word(word);
            for (n, votes) in votes.iter_mut().enumerate() {
                *votes += u64::from(count) * u64::from(languages.0 >> n & 1);
            }
        }
        let most = votes.into_iter().max().unwrap_or_default();
        let likely = |votes: u64| 4 * (votes + 3) >= 3 * (most + 3);
        Self(votes.into_iter().enumerate().filter(|(_, votes)| likely(*votes)).fold(0, |bits, (n, _)| bits | 1 << n))
    }
}

/// NLTK's lists. What they write with an apostrophe is in them by its parts, too.
static STOP_WORDS: LazyLock<HashMap<&'static str, u8>> = LazyLock::new(|| {
    let mut all = HashMap::new();
    for (n, language) in Language::ALL.into_iter().enumerate() {
        for word in stop_words::lookup(language.code()).unwrap_or_default() {
            *all.entry(*word).or_default() |= 1 << n;
        }
    }
    all
});

#[cfg(test)]
mod tests {
    use Language::{English, French, German, Spanish};
    use proptest::prelude::*;

    use super::super::words::{normal, words};
    use super::*;

    fn detected(text: &str) -> Vec<Language> {
        let normal = normal(text);
        Languages::detect(words(&normal).map(|word| (word, 1))).iter().collect()
    }

    #[test]
    fn inflections_share_a_term_in_their_language() {
        for (language, forms) in [
            (English, &["connect", "connected", "connecting", "connections"][..]),
            (English, &["résumé", "resume", "resumes"]),
            (German, &["Häuser", "Haus", "Hauses", "haeuser"]),
            (German, &["Rechnung", "Rechnungen"]),
            (German, &["Straße", "Strasse", "Straßen"]),
            (French, &["continuer", "continuation", "continue", "continué"]),
            (French, &["vêtement", "vetements"]),
            (Spanish, &["canción", "canciones", "cancion"]),
            (Spanish, &["niño", "niños", "nino"]),
        ] {
            let terms: Vec<String> = forms.iter().map(|form| language.term(&normal(form)).into_owned()).collect();
            assert!(terms.iter().all(|term| *term == terms[0]), "{forms:?} are {terms:?}");
        }
    }

    #[test]
    fn stop_words_tell_the_language() {
        for (text, expected) in [
            ("the invoice was sent to the customer", &[English][..]),
            ("die Rechnung wurde an den Kunden geschickt", &[German]),
            ("nous avons envoyé la facture aux clients avec une remise", &[French]),
            ("le enviamos la factura al cliente con un descuento para él", &[Spanish]),
            ("the server is down and it will be back, der Server ist aus und er kommt wieder", &[English, German]),
            ("invoice 4711", &Language::ALL),
            ("die hard", &Language::ALL),
            ("", &Language::ALL),
        ] {
            assert_eq!(detected(text), expected, "{text}");
        }
    }

    #[test]
    fn long_words_are_told_apart_by_their_end() {
        let (a, b) = (format!("{}a", "x".repeat(40_000)), format!("{}b", "x".repeat(40_000)));
        assert_ne!(English.term(&a), English.term(&b));
        assert_eq!(English.term(&a), German.term(&a));
        assert!(Spanish.term(&"ﷺ".repeat(30)).len() <= MAX_TERM_BYTES);
    }

    proptest! {
        #[test]
        fn every_word_has_a_term_of_bounded_length(word in "\\PC{1,30}|[a-zäöüßéèêçñíóúá'’]{1,40}") {
            for language in Language::ALL {
                let term = language.term(&word);
                prop_assert!((1..=MAX_TERM_BYTES).contains(&term.len()));
                prop_assert_eq!(&term, &language.term(&word));
            }
        }
    }
}
