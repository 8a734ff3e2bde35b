//! The hash behind `uniqueString`: 64 bits of a Murmur hash with two lanes of 32 bits, written with five bits per letter.
//!
//! Source: Azure/terraform-provider-azapi, function `unique_string`, whose values agree with those that deployments print.

const ALPHABET: [char; 32] = [
    'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o', 'p', 'q', 'r', 's', 't', 'u', 'v', 'w', 'x', 'y', 'z', '2',
    '3', '4', '5', '6', '7',
];

/// Letters of the result: 13 times five bits hold 64.
const LETTERS: u32 = 13;

const FIRST: u32 = 0x239b_961b;
const SECOND: u32 = 0xab0e_9789;

/// Thirteen letters and digits for a text.
pub(super) fn unique_string(text: &str) -> String {
    let hash = hash(text.as_bytes());
    let letter = |at: u32| {
        let bits = usize::try_from((hash << (5 * at)) >> 59).unwrap_or_default();
        ALPHABET.get(bits).copied().unwrap_or_default()
    };
    (0..LETTERS).map(letter).collect()
}

fn low_lane(bytes: &[u8]) -> u32 {
    word(bytes).wrapping_mul(FIRST).rotate_left(15).wrapping_mul(SECOND)
}

fn high_lane(bytes: &[u8]) -> u32 {
    word(bytes).wrapping_mul(SECOND).rotate_left(17).wrapping_mul(FIRST)
}

/// Up to four bytes, the first one lowest.
fn word(bytes: &[u8]) -> u32 {
    bytes.iter().take(4).rev().fold(0, |word, byte| (word << 8) | u32::from(*byte))
}

fn mixed(lane: u32) -> u32 {
    let lane = (lane ^ (lane >> 16)).wrapping_mul(0x85eb_ca6b);
    let lane = (lane ^ (lane >> 13)).wrapping_mul(0xc2b2_ae35);
    lane ^ (lane >> 16)
}

fn hash(bytes: &[u8]) -> u64 {
    let (mut low, mut high) = (0_u32, 0_u32);
    let blocks = bytes.chunks_exact(8);
    let tail = blocks.remainder();
    for block in blocks {
        let (first, second) = block.split_at(4);
        low = (low ^ low_lane(first)).rotate_left(19).wrapping_add(high).wrapping_mul(5).wrapping_add(0x561c_cd1b);
        high = (high ^ high_lane(second)).rotate_left(13).wrapping_add(low).wrapping_mul(5).wrapping_add(0x0bca_a747);
    }
    low ^= low_lane(tail);
    if let Some(rest) = tail.get(4..) {
        high ^= high_lane(rest);
    }
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    low ^= length;
    high ^= length;
    low = low.wrapping_add(high);
    high = high.wrapping_add(low);
    (low, high) = (mixed(low), mixed(high));
    low = low.wrapping_add(high);
    high = high.wrapping_add(low);
    (u64::from(high) << 32) | u64::from(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(unique_string(text), expected, "{text}");
    }

    #[test]
    fn the_values_are_those_that_deployments_print() {
        // Tails of 2, 5, 6 and 7 bytes. The first was seen in a deployment, the others are of the terraform provider's tests.
        check("sg-mlztest", "szxg4yhfjgtvq");
        check("fu", "6rkxbspxjmsho");
        check("fubar", "cj2xpqsiwjfne");
        check("fu-bar", "q5wxoscxs5j6k");
        check("/subscriptions/00000000-0000-0000-0000-000000000000-resource-id", "cwvxuqg24sifi");
    }
}
