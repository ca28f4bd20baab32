//! Recursive length prefix: the form of transactions on Ethereum's chains (Yellow Paper, appendix B).

/// A piece of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    Bytes(Vec<u8>),
    List(Vec<Self>),
}

impl Item {
    pub(super) fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::List(_) => None,
        }
    }

    /// A whole number, without zeros in front.
    pub(super) fn number(&self) -> Option<u128> {
        let bytes = self.bytes()?;
        let ok = bytes.len() <= 16 && bytes.first() != Some(&0);
        ok.then(|| bytes.iter().fold(0, |number, byte| number << 8 | u128::from(*byte)))
    }
}

/// The number's bytes, without zeros in front.
pub(super) fn number(number: u128) -> Item {
    Item::Bytes(trimmed(&number.to_be_bytes()))
}

pub(super) fn trimmed(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().copied().skip_while(|byte| *byte == 0).collect()
}

pub(super) fn encode(item: &Item) -> Vec<u8> {
    match item {
        Item::Bytes(bytes) if bytes.len() == 1 && bytes[0] < 0x80 => bytes.clone(),
        Item::Bytes(bytes) => [prefix(0x80, bytes.len()), bytes.clone()].concat(),
        Item::List(items) => {
            let inner: Vec<u8> = items.iter().flat_map(encode).collect();
            [prefix(0xc0, inner.len()), inner].concat()
        }
    }
}

fn prefix(base: u8, length: usize) -> Vec<u8> {
    let short = u8::try_from(length).ok().filter(|length| *length <= 55);
    if let Some(length) = short {
        return vec![base + length];
    }
    let digits = trimmed(&length.to_be_bytes());
    let count = u8::try_from(digits.len()).unwrap_or(8);
    [vec![base + 55 + count], digits].concat()
}

/// The one item that `bytes` are, to the last.
pub(super) fn decode(bytes: &[u8]) -> Option<Item> {
    let (item, rest) = take(bytes, 0)?;
    rest.is_empty().then_some(item)
}

fn take(bytes: &[u8], depth: usize) -> Option<(Item, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    if *first < 0x80 {
        return Some((Item::Bytes(vec![*first]), rest));
    }
    let (base, is_list) = if *first < 0xc0 { (0x80, false) } else { (0xc0, true) };
    let (length, rest) = match usize::from(first - base) {
        short @ 0..=55 => (short, rest),
        long => {
            let digits = rest.get(..long - 55)?;
            let length =
                digits.iter().try_fold(0_usize, |sum, digit| sum.checked_mul(256)?.checked_add((*digit).into()))?;
            (length, &rest[long - 55..])
        }
    };
    let (inner, rest) = rest.split_at_checked(length)?;
    if !is_list {
        return Some((Item::Bytes(inner.to_vec()), rest));
    }
    let (mut items, mut inner) = (Vec::new(), inner);
    while !inner.is_empty() && depth < 8 {
        let (item, more) = take(inner, depth + 1)?;
        items.push(item);
        inner = more;
    }
    inner.is_empty().then_some((Item::List(items), rest))
}
