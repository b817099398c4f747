//! A key with which a client proves to a NATS server who it is.

use rcgen::{KeyPair, PKCS_ED25519, PublicKeyData as _, SigningKey as _};

/// The first byte of the public key of a user.
const USER: u8 = 20 << 3;
/// The first byte of a seed. Its lowest bits are the highest of what it is a seed of.
const SEED: u8 = 18 << 3;

/// A key pair of a user.
pub struct Nkey {
    pair: KeyPair,
}

impl Nkey {
    /// A new key pair.
    pub fn generate() -> Self {
        let pair = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        Self { pair }
    }

    /// The public key, `U…`: what the server is told.
    pub fn public(&self) -> String {
        encode(&[&[USER], self.pair.der_bytes()].concat())
    }

    /// The secret seed, `SU…`: what a client is told.
    pub fn seed(&self) -> String {
        // After these many bytes of its frame, PKCS #8 has the seed.
        let seed = &self.pair.serialized_der()[16..48];
        encode(&[&[SEED | (USER >> 5), (USER & 31) << 3], seed].concat())
    }

    /// A signature.
    pub fn sign(&self, text: &[u8]) -> Vec<u8> {
        self.pair.sign(text).unwrap()
    }
}

/// The bytes and their checksum in base 32.
fn encode(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let all = [bytes, &checksum(bytes).to_le_bytes()].concat();
    let bits: Vec<u8> = all
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1))
        .collect();
    bits.chunks(5)
        .map(|five| {
            let number = (0..5).fold(0, |sum, at| sum << 1 | five.get(at).copied().unwrap_or(0));
            char::from(DIGITS[usize::from(number)])
        })
        .collect()
}

/// CRC-16/XMODEM.
fn checksum(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |sum, byte| {
        (0..8).fold(sum ^ u16::from(*byte) << 8, |sum: u16, _| {
            if sum & 0x8000 == 0 {
                sum << 1
            } else {
                sum << 1 ^ 0x1021
            }
        })
    })
}

#[test]
fn keys_are_written_as_the_server_reads_them() {
    // A pair from the documentation of NATS.
    let seed = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";
    let public = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4";
    let bits: String = seed
        .bytes()
        .map(|digit| {
            format!(
                "{:05b}",
                if digit < b'A' {
                    digit - b'2' + 26
                } else {
                    digit - b'A'
                }
            )
        })
        .collect();
    let bytes: Vec<u8> = (0..34)
        .map(|at| u8::from_str_radix(&bits[at * 8..at * 8 + 8], 2).unwrap())
        .collect();
    let frame = hex::decode("302e020100300506032b657004220420").unwrap();
    let der = rustls::pki_types::PrivatePkcs8KeyDer::from([&frame[..], &bytes[2..]].concat());
    let pair = KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_ED25519).unwrap();
    let key = Nkey { pair };
    assert_eq!((key.seed().as_str(), key.public().as_str()), (seed, public));
}
