//! Pictures of 5 to 500 KB that follow from a product's id alone: a colour gradient with texture. Real JPEG and PNG files,
//! so that browsers show them; kept deliberately incompressible, so that their size is known beforehand.

use crate::mix::Mix;

/// The file format of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Jpeg,
    Png,
}

impl Format {
    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Format::Jpeg => "image/jpeg",
            Format::Png => "image/png",
        }
    }
}

/// The picture of product `id`.
pub(crate) fn draw(id: u64, format: Format) -> Vec<u8> {
    let mut mix = Mix::new(0xF0_70, id);
    // Small pictures are commoner than big ones, as in shops: the square of an evenly spread number.
    let spread = mix.below(1000) as usize;
    let bytes = 6_000 + spread * spread * 480_000 / 1_000_000;
    match format {
        Format::Jpeg => jpeg(bytes, &mut mix),
        Format::Png => png(bytes, &mut mix),
    }
}

/// RGB, eight bits a channel, in deflate blocks that are stored, not compressed.
fn png(bytes: usize, mix: &mut Mix) -> Vec<u8> {
    let side = (bytes / 3).isqrt();
    let tint: [usize; 3] = std::array::from_fn(|_| mix.below(160) as usize);
    let mut pixels = Vec::with_capacity(bytes + side);
    for y in 0..side {
        pixels.push(0); // This row is not filtered.
        for x in 0..side {
            let noise = mix.next();
            for (channel, tint) in tint.iter().enumerate() {
                let gradient = tint + (x + y) * 64 / (2 * side);
                pixels.push(gradient as u8 + (noise >> (channel * 8)) as u8 % 32);
            }
        }
    }

    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    let side = (side as u32).to_be_bytes();
    png_chunk(&mut file, b"IHDR", &[side.as_slice(), &side, &[8, 2, 0, 0, 0]].concat());
    png_chunk(&mut file, b"IDAT", &zlib_stored(&pixels));
    png_chunk(&mut file, b"IEND", &[]);
    file
}

fn png_chunk(file: &mut Vec<u8>, kind: &[u8; 4], data: &[u8]) {
    file.extend((data.len() as u32).to_be_bytes());
    let checked_from = file.len();
    file.extend(kind);
    file.extend(data);
    let crc = crc32(&file[checked_from..]);
    file.extend(crc.to_be_bytes());
}

/// RFC 1950 around RFC 1951 3.2.4.
fn zlib_stored(data: &[u8]) -> Vec<u8> {
    let mut stream = vec![0x78, 0x01];
    let mut blocks = data.chunks(0xFFFF).peekable();
    while let Some(block) = blocks.next() {
        let length = block.len() as u16;
        stream.push(u8::from(blocks.peek().is_none()));
        stream.extend(length.to_le_bytes());
        stream.extend((!length).to_le_bytes());
        stream.extend(block);
    }
    let (a, b) = data.iter().fold((1u32, 0u32), |(a, b), &byte| {
        let a = (a + u32::from(byte)) % 65_521;
        (a, (b + a) % 65_521)
    });
    stream.extend((b << 16 | a).to_be_bytes());
    stream
}

fn crc32(data: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut index = 0;
        while index < 256 {
            let mut value = index as u32;
            let mut bit = 0;
            while bit < 8 {
                value = if value & 1 == 1 { 0xEDB8_8320 ^ (value >> 1) } else { value >> 1 };
                bit += 1;
            }
            table[index] = value;
            index += 1;
        }
        table
    };
    !data.iter().fold(!0, |crc, &byte| TABLE[((crc ^ u32::from(byte)) & 0xFF) as usize] ^ (crc >> 8))
}

/// Texture coefficients a block has, and the bits each has after its two bits of code.
const JPEG_TEXTURE: usize = 8;
const JPEG_TEXTURE_BITS: u32 = 5;
/// About what a block of 8 by 8 pixels takes.
const JPEG_BLOCK_BYTES: usize = 8;

/// Baseline JPEG in grey (ITU T.81), with Huffman tables made for this kind of picture only.
fn jpeg(bytes: usize, mix: &mut Mix) -> Vec<u8> {
    let blocks = (bytes / JPEG_BLOCK_BYTES).isqrt();
    let side = (blocks as u16 * 8).to_be_bytes();

    let mut file = vec![0xFF, 0xD8]; // SOI
    jpeg_segment(&mut file, 0xE0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0"); // APP0
    jpeg_segment(&mut file, 0xDB, &[&[0][..], &[1; 64]].concat()); // DQT: every coefficient as it is
    jpeg_segment(&mut file, 0xC0, &[&[8], side.as_slice(), &side, &[1, 1, 0x11, 0]].concat()); // SOF0
    // DHT for the brightness: the twelve sizes 0 to 11, four bits of code each.
    let sizes = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
    jpeg_segment(&mut file, 0xC4, &[&[0x00][..], &lengths(&[(4, 12)]), &sizes].concat());
    // DHT for the texture: `0` ends the block, `10` is a coefficient.
    let symbols = [0x00, JPEG_TEXTURE_BITS as u8];
    jpeg_segment(&mut file, 0xC4, &[&[0x10][..], &lengths(&[(1, 1), (2, 1)]), &symbols].concat());
    jpeg_segment(&mut file, 0xDA, &[1, 1, 0, 0, 63, 0]); // SOS

    let mut scan = Bits::default();
    let tint = mix.below(600) as i32 - 600;
    let mut before = 0;
    for y in 0..blocks {
        for x in 0..blocks {
            let brightness = tint + ((x + y) * 600 / (2 * blocks)) as i32;
            let step = brightness - before;
            before = brightness;
            let size = i32::BITS - step.unsigned_abs().leading_zeros();
            scan.push(size, 4);
            // T.81 F.1.2.1: a negative number is sent less one, in its low bits.
            scan.push((if step < 0 { step - 1 } else { step }) as u32, size);
            let noise = mix.next();
            for index in 0..JPEG_TEXTURE {
                scan.push(0b10, 2);
                scan.push((noise >> (index as u32 * JPEG_TEXTURE_BITS)) as u32, JPEG_TEXTURE_BITS);
            }
            scan.push(0, 1);
        }
    }
    file.extend(scan.finish());
    file.extend([0xFF, 0xD9]); // EOI
    file
}

fn jpeg_segment(file: &mut Vec<u8>, marker: u8, data: &[u8]) {
    file.extend([0xFF, marker]);
    file.extend((data.len() as u16 + 2).to_be_bytes());
    file.extend(data);
}

/// How many Huffman codes there are of each length from 1 to 16.
fn lengths(counts: &[(usize, u8)]) -> [u8; 16] {
    let mut lengths = [0; 16];
    for &(length, count) in counts {
        lengths[length - 1] = count;
    }
    lengths
}

/// Writes bits, highest first; a byte of ones is followed by a zero byte (T.81 B.1.1.5).
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    waiting: u64,
    count: u32,
}

impl Bits {
    /// Appends the low `count` bits of `value`.
    fn push(&mut self, value: u32, count: u32) {
        self.waiting = self.waiting << count | u64::from(value) & ((1 << count) - 1);
        self.count += count;
        while self.count >= 8 {
            self.count -= 8;
            let byte = (self.waiting >> self.count) as u8;
            self.bytes.push(byte);
            if byte == 0xFF {
                self.bytes.push(0);
            }
        }
    }

    /// Fills the last byte with ones.
    fn finish(mut self) -> Vec<u8> {
        self.push(0x7F, 7);
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::{Format, crc32, draw, zlib_stored};

    #[test]
    fn sizes_spread_from_5_to_500_kb_and_repeat() {
        for format in [Format::Jpeg, Format::Png] {
            let sizes: Vec<_> = (1..=40).map(|id| draw(id, format).len()).collect();
            let (smallest, biggest) = (sizes.iter().min().unwrap(), sizes.iter().max().unwrap());
            assert!((5_000..10_000).contains(smallest), "{format:?} {smallest}");
            assert!((400_000..=500_000).contains(biggest), "{format:?} {biggest}");
            assert_eq!(draw(7, format), draw(7, format));
            assert_ne!(draw(7, format), draw(8, format));
        }
    }

    #[test]
    fn checksums_are_the_published_ones() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(zlib_stored(b"Wikipedia")[16..], 0x11E6_0398u32.to_be_bytes());
    }
}
