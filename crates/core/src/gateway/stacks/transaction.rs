//! Transactions on the wire (SIP-005, "Transaction Encoding"): one signer, no sponsor, no post-conditions; numbers are
//! big-endian. What is not variable here: the key is compressed, the block is of any kind, and what the transaction
//! does not promise to move may not move.

use sha2::{Digest, Sha512_256};

use super::address::{Address, Contract};

/// Which chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// Where STX has a price.
    Mainnet,
    /// Where it has none; also every private chain.
    Testnet,
}

impl Network {
    /// The word in the settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mainnet => "mainnet",
            Self::Testnet => "testnet",
        }
    }

    /// `None` for a word that is no network.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Mainnet, Self::Testnet].into_iter().find(|network| network.as_str() == text)
    }

    /// The version of the address of one key.
    pub fn address_version(self) -> u8 {
        match self {
            Self::Mainnet => 22,
            Self::Testnet => 26,
        }
    }

    fn version(self) -> u8 {
        match self {
            Self::Mainnet => 0x00,
            Self::Testnet => 0x80,
        }
    }

    fn chain_id(self) -> u32 {
        match self {
            Self::Mainnet => 1,
            Self::Testnet => 0x8000_0000,
        }
    }
}

/// What a transaction does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// Calls a public function of a contract.
    Call {
        /// Whose function.
        contract: Contract,
        /// Its name, at most 128 characters.
        function: String,
        /// Each a `uint`.
        arguments: Vec<u128>,
    },
    /// Pays a contract. It does nothing else, so it can take the place of a transaction that was refused.
    Pay {
        /// To whom.
        contract: Contract,
        /// Millionths of an STX.
        amount: u64,
    },
}

impl Payload {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Call { contract, function, arguments } => {
                out.push(0x02);
                put_contract(&mut out, contract);
                put_name(&mut out, function);
                out.extend(u32::try_from(arguments.len()).unwrap_or(u32::MAX).to_be_bytes());
                for argument in arguments {
                    out.push(0x01);
                    out.extend(argument.to_be_bytes());
                }
            }
            Self::Pay { contract, amount } => {
                out.extend([0x00, 0x06]);
                put_contract(&mut out, contract);
                out.extend(amount.to_be_bytes());
                out.extend([0; 34]);
            }
        }
        out
    }
}

fn put_contract(out: &mut Vec<u8>, contract: &Contract) {
    out.push(contract.address.version);
    out.extend(contract.address.hash);
    put_name(out, &contract.name);
}

/// A length of one byte and the text; names are bounded where they are made.
fn put_name(out: &mut Vec<u8>, name: &str) {
    out.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
    out.extend(name.as_bytes());
}

/// A transaction before it is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// On which chain.
    pub network: Network,
    /// Who signs and pays.
    pub signer: Address,
    /// How many the signer has sent before.
    pub nonce: u64,
    /// Millionths of an STX.
    pub fee: u64,
    /// What it does.
    pub payload: Payload,
}

impl Transaction {
    /// Bytes of a transaction around its payload.
    const FRAME: usize = 1 + 4 + 1 + 1 + 20 + 8 + 8 + 1 + 65 + 1 + 1 + 4;

    /// Its length on the wire once signed, which is what its fee is for.
    pub fn len_with(payload: &Payload) -> usize {
        Self::FRAME + payload.encode().len()
    }

    /// Its bytes with this signature.
    pub(super) fn encode(&self, signature: &[u8; 65]) -> Vec<u8> {
        self.encode_as(self.nonce, self.fee, signature)
    }

    /// What the key signs. The first hash leaves nonce, fee and signature out, the second puts the first two in again.
    pub(super) fn digest(&self) -> [u8; 32] {
        let initial = Sha512_256::digest(self.encode_as(0, 0, &[0; 65]));
        let presign = Sha512_256::new()
            .chain_update(initial)
            .chain_update([0x04])
            .chain_update(self.fee.to_be_bytes())
            .chain_update(self.nonce.to_be_bytes());
        presign.finalize().into()
    }

    fn encode_as(&self, nonce: u64, fee: u64, signature: &[u8; 65]) -> Vec<u8> {
        let payload = self.payload.encode();
        let mut out = Vec::with_capacity(Self::FRAME + payload.len());
        out.push(self.network.version());
        out.extend(self.network.chain_id().to_be_bytes());
        // Standard authorisation, by the hash of one public key.
        out.extend([0x04, 0x00]);
        out.extend(self.signer.hash);
        out.extend(nonce.to_be_bytes());
        out.extend(fee.to_be_bytes());
        out.push(0x00);
        out.extend(signature);
        // Any block; post-conditions are exhaustive, and there are none.
        out.extend([0x03, 0x02, 0, 0, 0, 0]);
        out.extend(payload);
        out
    }
}

/// The id of a signed transaction.
pub(super) fn txid(bytes: &[u8]) -> [u8; 32] {
    Sha512_256::digest(bytes).into()
}
