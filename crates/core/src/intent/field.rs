//! The fields of operations by name, for those who change one.

/// What a path is of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldOf {
    /// One of its values.
    Leaf,
    /// An object that holds some.
    Branch,
    /// Nothing that is known.
    Nothing,
}

/// What `path`, one name or a name within another, is of an operation of type `kind`, other than its type.
pub fn field_of(kind: &str, path: &[&str]) -> FieldOf {
    let leaves: &[&[&str]] = match kind {
        "transfer" => {
            &[&["from", "token"], &["from", "chainId"], &["from", "amount"], &["to", "address"], &["to", "chainId"]]
        }
        "swap" => {
            &[&["from", "token"], &["from", "chainId"], &["from", "amount"], &["to", "token"], &["to", "chainId"]]
        }
        "approve" => &[&["token"], &["spender"], &["amount"], &["chainId"]],
        "addLiquidity" => &[&["tokens"], &["amounts"], &["chainId"], &["router"], &["slippageBps"], &["deadline"]],
        _ => &[],
    };
    match () {
        () if leaves.contains(&path) => FieldOf::Leaf,
        () if path.len() == 1 && leaves.iter().any(|leaf| leaf.len() == 2 && leaf.starts_with(path)) => FieldOf::Branch,
        () => FieldOf::Nothing,
    }
}
