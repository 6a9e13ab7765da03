//! SHA-256 (FIPS 180-4), HMAC (RFC 2104) and a comparison that takes the same time whatever it compares.

const K: [u32; 64] = [
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98,
    0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786,
    0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8,
    0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
    0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819,
    0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a,
    0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
    0xc67178f2,
];

pub type Digest = [u8; 32];

fn block(state: &mut [u32; 8], bytes: &[u8; 64]) {
    #[cfg(target_arch = "x86_64")]
    if native::there() {
        // Safe: the CPU has just been found to have the instructions.
        return unsafe { native::block(state, bytes) };
    }
    block_anywhere(state, bytes);
}

fn block_anywhere(state: &mut [u32; 8], bytes: &[u8; 64]) {
    let mut w = [0u32; 64];
    for (word, four) in w.iter_mut().zip(bytes.chunks_exact(4)) {
        *word = u32::from_be_bytes([four[0], four[1], four[2], four[3]]);
    }
    for i in 16..64 {
        let s0 = w[i - 15].rotate_right(7) ^ w[i - 15].rotate_right(18) ^ (w[i - 15] >> 3);
        let s1 = w[i - 2].rotate_right(17) ^ w[i - 2].rotate_right(19) ^ (w[i - 2] >> 10);
        w[i] = w[i - 16].wrapping_add(s0).wrapping_add(w[i - 7]).wrapping_add(s1);
    }
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *state;
    for i in 0..64 {
        let s1 = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
        let t1 = h.wrapping_add(s1).wrapping_add((e & f) ^ (!e & g)).wrapping_add(K[i]).wrapping_add(w[i]);
        let s0 = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
        let t2 = s0.wrapping_add((a & b) ^ (a & c) ^ (b & c));
        (h, g, f, e, d, c, b, a) = (g, f, e, d.wrapping_add(t1), c, b, a, t1.wrapping_add(t2));
    }
    for (s, v) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
        *s = s.wrapping_add(v);
    }
}

/// By the CPU's own SHA instructions: a twentieth of the work, and every request has a key to be hashed.
#[cfg(target_arch = "x86_64")]
mod native {
    use super::K;
    use std::arch::x86_64::*;

    pub fn there() -> bool {
        use std::arch::is_x86_feature_detected as has;
        has!("sha") && has!("ssse3") && has!("sse4.1")
    }

    #[target_feature(enable = "sha,ssse3,sse4.1")]
    pub unsafe fn block(state: &mut [u32; 8], bytes: &[u8; 64]) {
        // Safe: all loads and stores lie in `state`, `bytes` and `K`.
        unsafe {
            let swap = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
            let word = |i: usize| _mm_shuffle_epi8(_mm_loadu_si128(bytes.as_ptr().add(16 * i).cast()), swap);
            // The instructions want the state as ABEF and CDGH, highest first.
            let dcba = _mm_shuffle_epi32(_mm_loadu_si128(state.as_ptr().cast()), 0xb1);
            let hgfe = _mm_shuffle_epi32(_mm_loadu_si128(state.as_ptr().add(4).cast()), 0x1b);
            let (abef, cdgh) = (_mm_alignr_epi8(dcba, hgfe, 8), _mm_blend_epi16(hgfe, dcba, 0xf0));
            let (mut one, mut two) = (abef, cdgh);
            let mut w = [word(0), word(1), word(2), word(3)];
            for (i, k) in K.chunks_exact(4).enumerate() {
                let sum = _mm_add_epi32(w[0], _mm_loadu_si128(k.as_ptr().cast()));
                two = _mm_sha256rnds2_epu32(two, one, sum);
                one = _mm_sha256rnds2_epu32(one, two, _mm_shuffle_epi32(sum, 0x0e));
                let next = if i < 12 {
                    let half = _mm_add_epi32(_mm_sha256msg1_epu32(w[0], w[1]), _mm_alignr_epi8(w[3], w[2], 4));
                    _mm_sha256msg2_epu32(half, w[3])
                } else {
                    w[0]
                };
                w = [w[1], w[2], w[3], next];
            }
            let (one, two) = (_mm_add_epi32(one, abef), _mm_add_epi32(two, cdgh));
            let (feba, dchg) = (_mm_shuffle_epi32(one, 0x1b), _mm_shuffle_epi32(two, 0xb1));
            _mm_storeu_si128(state.as_mut_ptr().cast(), _mm_blend_epi16(feba, dchg, 0xf0));
            _mm_storeu_si128(state.as_mut_ptr().add(4).cast(), _mm_alignr_epi8(dchg, feba, 8));
        }
    }
}

/// The digest of several pieces as if they were one.
pub fn sha256(pieces: &[&[u8]]) -> Digest {
    let mut state = [0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19];
    let (mut held, mut used, mut total) = ([0u8; 64], 0, 0u64);
    for piece in pieces {
        total += piece.len() as u64;
        let mut rest = *piece;
        while !rest.is_empty() {
            let n = rest.len().min(64 - used);
            held[used..used + n].copy_from_slice(&rest[..n]);
            (used, rest) = (used + n, &rest[n..]);
            if used == 64 {
                block(&mut state, &held);
                used = 0;
            }
        }
    }
    held[used] = 0x80;
    held[used + 1..].fill(0);
    if used >= 56 {
        block(&mut state, &held);
        held.fill(0);
    }
    held[56..].copy_from_slice(&(total * 8).to_be_bytes());
    block(&mut state, &held);
    let mut out = [0; 32];
    for (four, word) in out.chunks_exact_mut(4).zip(state) {
        four.copy_from_slice(&word.to_be_bytes());
    }
    out
}

/// HMAC-SHA-256.
pub fn hmac(key: &[u8], message: &[u8]) -> Digest {
    let mut padded = [0u8; 64];
    if key.len() > 64 {
        padded[..32].copy_from_slice(&sha256(&[key]));
    } else {
        padded[..key.len()].copy_from_slice(key);
    }
    let inner = sha256(&[&padded.map(|b| b ^ 0x36), message]);
    sha256(&[&padded.map(|b| b ^ 0x5c), &inner])
}

/// Equal, in a time that does not depend on where they differ.
pub fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && std::hint::black_box(a.iter().zip(b).fold(0, |d, (x, y)| d | (x ^ y))) == 0
}

/// 64 hexadecimal digits.
pub fn from_hex(text: &str) -> Option<Digest> {
    let text = text.as_bytes();
    if text.len() != 64 {
        return None;
    }
    let mut out = [0; 32];
    for (byte, two) in out.iter_mut().zip(text.chunks_exact(2)) {
        let digit = |c: u8| (c as char).to_digit(16);
        *byte = (digit(two[0])? * 16 + digit(two[1])?) as u8;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    #[test]
    fn known_digests() {
        let cases: [(&[u8], &str); 3] = [
            (b"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            (b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
            ),
        ];
        for (text, digest) in cases {
            assert_eq!(hex(&sha256(&[text])), digest);
            assert_eq!(from_hex(digest).unwrap(), sha256(&[text]));
        }
        assert_eq!(
            hex(&sha256(&[&[b'a'; 1000][..]; 1000])), // FIPS 180-4: a million times "a"
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"
        );
        assert_eq!(
            hex(&hmac(b"Jefe", b"what do ya want for nothing?")), // RFC 4231, case 2
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    #[test]
    fn the_cpu_and_plain_code_agree() {
        let (mut one, mut two) = ([7; 8], [7; 8]);
        for round in 0..100u8 {
            let bytes: [u8; 64] = std::array::from_fn(|i| (i as u8).wrapping_mul(31).wrapping_add(round));
            block(&mut one, &bytes);
            block_anywhere(&mut two, &bytes);
            assert_eq!(one, two);
        }
    }

    #[test]
    fn pieces_are_one_message() {
        let text: Vec<u8> = (0..200).collect();
        for cut in [0, 1, 55, 56, 63, 64, 65, 128, 200] {
            assert_eq!(sha256(&[&text[..cut], &text[cut..]]), sha256(&[&text]));
        }
    }

    #[test]
    fn comparison_and_hex_refuse_what_is_not_equal_or_not_hex() {
        assert!(same(b"abc", b"abc") && !same(b"abc", b"abd") && !same(b"abc", b"ab"));
        assert!(from_hex("zz").is_none() && from_hex(&"g".repeat(64)).is_none() && from_hex(&"é".repeat(32)).is_none());
    }
}
