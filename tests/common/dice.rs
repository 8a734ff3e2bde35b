//! Numbers to choose by: the same for the same beginning, everywhere.

/// Where they come from.
pub enum Dice<'d> {
    /// Splitmix64.
    Seed(u64),
    /// One byte for each choice, and the first of the choices when there are none left.
    Bytes(&'d [u8]),
}

impl Dice<'_> {
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.next() % sides
    }

    fn next(&mut self) -> u64 {
        match self {
            Self::Seed(state) => {
                *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                mixed ^ (mixed >> 31)
            }
            Self::Bytes(bytes) => {
                let Some((first, rest)) = bytes.split_first() else { return 0 };
                *bytes = rest;
                u64::from(*first)
            }
        }
    }

    pub fn pick<'c, T>(&mut self, choices: &'c [T]) -> &'c T {
        &choices[self.roll(choices.len() as u64) as usize]
    }

    /// One to one more than `max` of them.
    pub fn some<T>(&mut self, max: u64, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..=self.roll(max)).map(|_| make(self)).collect()
    }
}
