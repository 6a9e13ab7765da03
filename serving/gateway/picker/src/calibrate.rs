//! What the picker's two terms are worth, learned from observed first-token times.
//!
//! Model: seconds = a · prompt bytes outstanding and new + d · requests in flight + c, by least squares over the recent
//! past. The rule needs only d/a: what a request in flight costs in bytes of prompt. Facts: the best value moves with
//! load and engine speed, from 300 to 1,000 tokens and more, so it is learned, but never below the floor that keeps a
//! shared prefix from drawing everything to one backend.

/// Bytes: 300 tokens, the floor and the value before anything has been observed.
pub const DECODE: f64 = 1200.0;
/// Bytes: 4,000 tokens.
const MOST: f64 = 16_000.0;
/// The weight of an observation halves in about 700 further ones.
const DECAY: f64 = 0.999;
/// Observations between two solutions.
const EVERY: u32 = 64;

#[derive(Debug)]
pub struct Calibration {
    /// Sums of products of (bytes, requests, 1), and of those with the seconds.
    products: [[f64; 3]; 3],
    sums: [f64; 3],
    seen: u32,
    /// Seconds a byte, seconds a request, seconds; None: not known yet.
    solution: Option<[f64; 3]>,
    decode: f64,
}

impl Default for Calibration {
    fn default() -> Self {
        Calibration { products: [[0.0; 3]; 3], sums: [0.0; 3], seen: 0, solution: None, decode: DECODE }
    }
}

impl Calibration {
    /// What a request in flight costs a newcomer, in bytes of prompt.
    pub fn decode(&self) -> f64 {
        self.decode
    }

    /// The expected seconds to the first token.
    pub fn estimate(&self, bytes: f64, requests: f64) -> Option<f64> {
        self.solution.map(|[a, d, c]| (a * bytes + d * requests + c).max(0.0))
    }

    pub fn observe(&mut self, bytes: f64, requests: f64, seconds: f64) {
        let x = [bytes, requests, 1.0];
        for (row, xi) in self.products.iter_mut().zip(x) {
            for (p, xj) in row.iter_mut().zip(x) {
                *p = *p * DECAY + xi * xj;
            }
        }
        for (s, xi) in self.sums.iter_mut().zip(x) {
            *s = *s * DECAY + xi * seconds;
        }
        self.seen += 1;
        if self.seen % EVERY == 0 {
            self.solve();
        }
    }

    fn solve(&mut self) {
        let mut m = self.products;
        // A little of the diagonal keeps the solution sane when all requests look alike.
        for (i, row) in m.iter_mut().enumerate() {
            row[i] *= 1.0 + 1e-6;
        }
        let whole = determinant(&m);
        if !whole.is_finite() || whole.abs() < 1e-9 {
            return;
        }
        let mut solution = [0.0; 3];
        for (i, value) in solution.iter_mut().enumerate() {
            let mut column = m;
            for (row, sum) in column.iter_mut().zip(self.sums) {
                row[i] = sum;
            }
            *value = determinant(&column) / whole;
        }
        let [a, d, _] = solution;
        if a > 1e-12 && solution.iter().all(|v| v.is_finite()) {
            self.solution = Some(solution);
            self.decode += ((d / a).clamp(DECODE, MOST) - self.decode) / 4.0;
        }
    }
}

fn determinant(m: &[[f64; 3]; 3]) -> f64 {
    m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1]) - m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0])
        + m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn train(a: f64, d: f64, c: f64) -> Calibration {
        let mut calibration = Calibration::default();
        for i in 0..4000u32 {
            let bytes = f64::from(i * 7919 % 100_000);
            let requests = f64::from(i * 31 % 40);
            let noise = 1.0 + f64::from(i % 7) / 100.0;
            calibration.observe(bytes, requests, (a * bytes + d * requests + c) * noise);
        }
        calibration
    }

    #[test]
    fn finds_the_worth_of_a_request_in_flight() {
        let calibration = train(1e-5, 0.04, 0.02); // 4000 bytes
        assert!((3000.0..5000.0).contains(&calibration.decode()), "{}", calibration.decode());
        let estimate = calibration.estimate(50_000.0, 10.0).unwrap();
        assert!((0.8..1.1).contains(&estimate), "{estimate}");
    }

    #[test]
    fn stays_between_its_bounds() {
        assert!((train(1e-5, 0.0, 0.02).decode() - DECODE).abs() < 1.0);
        assert!(train(1e-7, 0.9, 0.02).decode() <= MOST);
    }

    #[test]
    fn learns_nothing_from_nothing() {
        let mut calibration = Calibration::default();
        for _ in 0..1000 {
            calibration.observe(0.0, 0.0, 0.0);
        }
        assert!((calibration.decode() - DECODE).abs() < 1e-9 && calibration.estimate(1.0, 1.0).is_none());
    }
}
