//! Passing over the inside of JSON strings: most of a body, so it is done 64 bytes at a time where the CPU can.

/// Eight bytes of ones, and of the highest bits.
const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = ONES * 0x80;

/// How many bytes `text` begins with that are none of `"`, `\\` and control characters, and whether a byte above ASCII
/// is among them. The last seven bytes of a text may be left out.
pub fn plain(text: &[u8]) -> (usize, bool) {
    #[cfg(target_arch = "x86_64")]
    if text.len() >= wide::BLOCK && std::arch::is_x86_feature_detected!("avx2") {
        // Safe: the CPU has just been found to have the instructions.
        let (n, high, ended) = unsafe { wide::plain(text) };
        if ended {
            return (n, high);
        }
        let (more, too) = by_words(text.get(n..).unwrap_or_default());
        return (n + more, high | too);
    }
    by_words(text)
}

/// Highest bits where a byte of `word` is `"` or `\\` or a control character, and perhaps in bytes after one of those.
fn special(word: u64) -> u64 {
    let (quote, slash) = (word ^ (ONES * 0x22), word ^ (ONES * 0x5c));
    let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word;
    (below(quote, 1) | below(slash, 1) | below(word, 0x20)) & HIGH
}

/// The same eight bytes at a time, on any CPU.
fn by_words(text: &[u8]) -> (usize, bool) {
    let (mut n, mut high) = (0, 0);
    while let Some(eight) = text.get(n..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(*eight);
        let bits = special(word).trailing_zeros() & !7; // 64: none of the eight
        high |= word & HIGH & 1u64.checked_shl(bits).map_or(u64::MAX, |b| b - 1);
        n += bits as usize / 8;
        if bits < 64 {
            break;
        }
    }
    (n, high != 0)
}

#[cfg(target_arch = "x86_64")]
mod wide {
    use std::arch::x86_64::*;

    pub const BLOCK: usize = 64;

    /// As `by_words`, in whole blocks; the last value: the first special byte was found.
    #[target_feature(enable = "avx2")]
    pub unsafe fn plain(text: &[u8]) -> (usize, bool, bool) {
        let (quote, slash, control) = (_mm256_set1_epi8(0x22), _mm256_set1_epi8(0x5c), _mm256_set1_epi8(0x1f));
        let special = |v| {
            let low = _mm256_cmpeq_epi8(_mm256_min_epu8(v, control), v);
            _mm256_or_si256(_mm256_or_si256(_mm256_cmpeq_epi8(v, quote), _mm256_cmpeq_epi8(v, slash)), low)
        };
        let bits = |a, b| {
            let (a, b) = (_mm256_movemask_epi8(a) as u32, _mm256_movemask_epi8(b) as u32);
            u64::from(a) | u64::from(b) << 32
        };
        let mut high = _mm256_setzero_si256();
        let blocks = text.chunks_exact(BLOCK);
        for (i, block) in blocks.enumerate() {
            let at = block.as_ptr();
            // Safe: both loads lie in the block.
            let (a, b) = unsafe { (_mm256_loadu_si256(at.cast()), _mm256_loadu_si256(at.add(32).cast())) };
            let stop = bits(special(a), special(b));
            if stop != 0 {
                let before = (1u64 << stop.trailing_zeros()) - 1;
                let seen = _mm256_movemask_epi8(high) != 0 || bits(a, b) & before != 0;
                return (i * BLOCK + stop.trailing_zeros() as usize, seen, true);
            }
            high = _mm256_or_si256(high, _mm256_or_si256(a, b));
        }
        (text.len() / BLOCK * BLOCK, _mm256_movemask_epi8(high) != 0, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Byte by byte.
    fn slow(text: &[u8]) -> (usize, bool) {
        let n = text.iter().position(|c| matches!(c, b'"' | b'\\' | 0..=0x1f)).unwrap_or(text.len());
        (n, text[..n].iter().any(|c| *c >= 0x80))
    }

    #[test]
    fn every_byte_at_every_place_stops_or_does_not() {
        for byte in 0..=255u8 {
            for n in [0, 1, 7, 8, 31, 32, 33, 63, 64, 65, 127, 128, 150] {
                for (plain_byte, rest) in [(b'a', 100), (0xe9, 100), (b'a', 0)] {
                    let text =
                        [vec![plain_byte; n], vec![byte], vec![b'z'; rest], vec![b'"'; 1], vec![b'x'; 8]].concat();
                    assert_eq!(plain(&text), slow(&text), "{byte} after {n} of {plain_byte}");
                    assert_eq!(by_words(&text), slow(&text));
                }
            }
        }
    }

    #[test]
    fn what_is_left_out_at_the_end_is_short() {
        for n in 0..200 {
            let (found, high) = plain(&vec![b'a'; n]);
            assert!(found <= n && n - found < 8 && !high);
        }
    }
}
