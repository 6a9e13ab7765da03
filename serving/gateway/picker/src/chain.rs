//! One number per whole chunk of a prompt, each covering everything before it: equal numbers mean equal prefixes.

/// Bytes of each of the first chunks; about 128 tokens of English.
pub const CHUNK: usize = 512;
/// How many chunks are that short. Longer prompts differ late or not at all, and look-ups are what a long prompt costs.
const SHORT: usize = 8;
/// Bytes of each further chunk, in chunks.
const LONG: usize = 4;

/// How many bytes of a prompt its first `n` chunks cover.
pub fn covered(n: u32) -> u64 {
    let (short, long) = (n.min(SHORT as u32), n.saturating_sub(SHORT as u32));
    (u64::from(short) + u64::from(long) * LONG as u64) * CHUNK as u64
}

/// The size of chunk `i`, in units of `CHUNK`.
pub fn weight(i: usize) -> u32 {
    if i < SHORT {
        1
    } else {
        LONG as u32
    }
}

fn fold(a: u64, b: u64) -> u64 {
    let m = (a ^ b) as u128 * 0xa076_1d64_78bd_642f;
    m as u64 ^ ((m >> 64) as u64).rotate_left(17)
}

/// What separates prompts whose caches are not shared: model, adapter, salt.
pub fn seed(parts: &[&[u8]]) -> u64 {
    parts.iter().fold(0x9e37_79b9_7f4a_7c15, |h, part| {
        let h = part.chunks(8).fold(h, |h, eight| {
            let mut word = [0; 8];
            word[..eight.len()].copy_from_slice(eight);
            fold(h, u64::from_le_bytes(word).rotate_left(23))
        });
        fold(h, part.len() as u64 ^ 0xd6e8_feb8_6659_fd93)
    })
}

/// Sixteen bytes a multiplication, after wyhash.
fn mix(a: u64, b: u64) -> u64 {
    let m = u128::from(a) * u128::from(b);
    m as u64 ^ (m >> 64) as u64
}

fn word(eight: &[u8]) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(eight);
    u64::from_le_bytes(word)
}

const LANES: [u64; 4] = [0xa076_1d64_78bd_642f, 0xe703_7ed1_a0b4_28db, 0x8ebc_6af0_9c88_c6e3, 0x5899_65cc_7537_4cc3];

pub fn chain(seed: u64, text: &[u8], out: &mut Vec<u64>) {
    out.clear();
    let mut h = seed;
    let (short, long) = text.split_at(text.len().min(SHORT * CHUNK));
    for chunk in short.chunks_exact(CHUNK).chain(long.chunks_exact(LONG * CHUNK)) {
        // Four lanes, so that the multiplications overlap.
        let mut lanes = [h; 4];
        for words in chunk.chunks_exact(64) {
            for ((lane, secret), sixteen) in lanes.iter_mut().zip(LANES).zip(words.chunks_exact(16)) {
                let (a, b) = sixteen.split_at(8);
                *lane = mix(word(a) ^ secret, word(b) ^ *lane);
            }
        }
        h = lanes.into_iter().zip(LANES).fold(h, |h, (lane, secret)| fold(h ^ secret, lane));
        out.push(h);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_shows_from_its_chunk_on() {
        let (mut a, mut b, text) = (vec![], vec![], vec![7u8; 8 * CHUNK]);
        chain(1, &text, &mut a);
        for at in [0, 9, 17, 31, 3 * CHUNK, 3 * CHUNK + 510] {
            let mut other = text.clone();
            other[at] ^= 1;
            chain(1, &other, &mut b);
            let same = at / CHUNK;
            assert_eq!(a[..same], b[..same]);
            assert!(a[same..].iter().zip(&b[same..]).all(|(x, y)| x != y));
        }
    }

    #[test]
    fn chunks_grow_and_their_sizes_add_up() {
        let mut out = vec![];
        for (bytes, chunks) in [(0, 0), (511, 0), (512, 1), (4096, 8), (6143, 8), (6144, 9), (24_000, 17)] {
            chain(1, &vec![1; bytes], &mut out);
            assert_eq!(out.len(), chunks, "{bytes}");
            assert!(covered(chunks as u32) <= bytes as u64);
            assert_eq!((0..chunks).map(|i| u64::from(weight(i))).sum::<u64>() * 512, covered(chunks as u32));
        }
    }

    #[test]
    fn seeds_separate_models_adapters_and_salts() {
        let seeds = [
            seed(&[b"chat", b"", b""]),
            seed(&[b"chat", b"lora", b""]),
            seed(&[b"chat", b"", b"lora"]),
            seed(&[b"chatlora", b"", b""]),
            seed(&[b"chat\0", b"", b""]),
        ];
        for (i, a) in seeds.iter().enumerate() {
            assert!(seeds[i + 1..].iter().all(|b| a != b));
        }
    }

    #[test]
    fn an_unfinished_chunk_has_no_number() {
        let mut out = vec![];
        chain(1, &[0; CHUNK - 1], &mut out);
        assert!(out.is_empty());
    }
}
