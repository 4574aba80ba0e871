//! One net, loaded from checked bytes and proven on a synthetic picture before it may judge people.

use ort::session::Session;
use ort::session::builder::GraphOptimizationLevel;
use ort::value::TensorRef;

use crate::vision::manifest::{Colour, NetFile, NetInput, PackError};
use crate::vision::onnx_file::{self, OnnxFileError};
use crate::vision::runtime::{self, RuntimeError};

/// Why a net cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    #[error(transparent)]
    Pack(#[from] PackError),
    #[error("{net}: {cause}")]
    File { net: String, cause: OnnxFileError },
    #[error("{net}: ONNX Runtime says: {cause}")]
    Onnx { net: String, cause: String },
    #[error(
        "{net}: the output {output:?} named in the manifest is missing or has another size than {wanted}"
    )]
    Output { net: String, output: String, wanted: usize },
    #[error(
        "{net}: the self-test answered {found} where {wanted} ± {tolerance} is right (value {at}): colour order, range or runtime are wrong"
    )]
    Golden { net: String, at: usize, found: f32, wanted: f32, tolerance: f32 },
    #[error("{net}: the output is not a number")]
    NotANumber { net: String },
}

/// A loaded net.
pub struct Net {
    name: String,
    session: Session,
    input: NetInput,
    outputs: Vec<(String, usize)>,
    runs: u64,
}

impl Net {
    /// Loads one net; `sizes` are the numbers of values of its outputs.
    ///
    /// # Errors
    /// [`NetError`]: digest, foreign content, missing outputs.
    pub fn load(file: &NetFile, sizes: &[usize]) -> Result<Net, NetError> {
        let name = file.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let bytes = file.read()?;
        onnx_file::check(&bytes).map_err(|cause| NetError::File { net: name.clone(), cause })?;
        let environment = &runtime::load()?.environment;
        let session =
            build(environment, &bytes).map_err(|cause| NetError::Onnx { net: name.clone(), cause })?;
        if file.outputs.len() != sizes.len() {
            let output = file.outputs.join(", ");
            return Err(NetError::Output { net: name, output, wanted: sizes.len() });
        }
        let outputs = file.outputs.iter().cloned().zip(sizes.iter().copied()).collect();
        Ok(Net { name, session, input: file.input.clone(), outputs, runs: 0 })
    }

    /// Side of the square input in pixels.
    pub fn size(&self) -> usize {
        self.input.shape[2]
    }

    /// How often the net ran, for benchmarks.
    pub fn runs(&self) -> u64 {
        self.runs
    }

    /// Runs on `size` × `size` RGB values (0..=255), row by row. The outputs in the manifest's order.
    ///
    /// # Errors
    /// [`NetError::Onnx`], [`NetError::Output`], [`NetError::NotANumber`].
    pub fn run(&mut self, rgb: &[f32]) -> Result<Vec<Vec<f32>>, NetError> {
        let tensor = self.tensor(rgb);
        self.run_tensor(&tensor)
    }

    /// Runs on values already normalised and laid out: the bare net, for benchmarks.
    ///
    /// # Errors
    /// As [`Net::run`].
    pub fn run_tensor(&mut self, tensor: &[f32]) -> Result<Vec<Vec<f32>>, NetError> {
        self.runs += 1;
        let failed = |error: ort::Error| NetError::Onnx { net: self.name.clone(), cause: error.to_string() };
        let input = TensorRef::from_array_view((self.input.shape, tensor)).map_err(failed)?;
        let answers = self.session.run(ort::inputs![self.input.name.as_str() => input]).map_err(failed)?;
        let mut values = Vec::with_capacity(self.outputs.len());
        for (output, wanted) in &self.outputs {
            let missing =
                || NetError::Output { net: self.name.clone(), output: output.clone(), wanted: *wanted };
            let answer = answers.get(output).ok_or_else(missing)?;
            let (_, data) = answer.try_extract_tensor::<f32>().map_err(|_| missing())?;
            if data.len() != *wanted {
                return Err(missing());
            }
            if data.iter().any(|value| !value.is_finite()) {
                return Err(NetError::NotANumber { net: self.name.clone() });
            }
            values.push(data.to_vec());
        }
        Ok(values)
    }

    /// RGB pixels to the net's planes.
    pub fn tensor(&self, rgb: &[f32]) -> Vec<f32> {
        let plane = self.size() * self.size();
        let from: [usize; 3] = match self.input.colour {
            Colour::Rgb => [0, 1, 2],
            Colour::Bgr => [2, 1, 0],
        };
        let (mean, scale) = (self.input.mean, self.input.scale);
        let mut tensor = vec![0.0; plane * 3];
        let (first, rest) = tensor.split_at_mut(plane);
        let (second, third) = rest.split_at_mut(plane);
        let planes = first.iter_mut().zip(second).zip(third);
        for (((a, b), c), pixel) in planes.zip(rgb.chunks_exact(3)) {
            *a = (pixel[from[0]] - mean[0]) * scale;
            *b = (pixel[from[1]] - mean[1]) * scale;
            *c = (pixel[from[2]] - mean[2]) * scale;
        }
        tensor
    }

    /// Compares the answer to the synthetic picture with the manifest's golden values. `pick` chooses the compared
    /// numbers out of the outputs. A swapped channel, a forgotten division or a miscomputing runtime fails here.
    ///
    /// # Errors
    /// [`NetError::Golden`].
    pub fn prove(&mut self, file: &NetFile, pick: impl Fn(&[Vec<f32>]) -> Vec<f32>) -> Result<(), NetError> {
        let found = pick(&self.run(&synthetic_picture(self.size()))?);
        for (at, wanted) in file.golden.values.iter().enumerate() {
            let found = found.get(at).copied().unwrap_or(f32::NAN);
            if (found - wanted).abs() > file.golden.tolerance || found.is_nan() {
                let (net, wanted, tolerance) = (self.name.clone(), *wanted, file.golden.tolerance);
                return Err(NetError::Golden { net, at, found, wanted, tolerance });
            }
        }
        Ok(())
    }
}

fn build(environment: &ort::environment::Environment, bytes: &[u8]) -> Result<Session, String> {
    let text = |error: ort::Error| error.to_string();
    // From memory: external data cannot be reached from there. One look at a time, so one pool is enough.
    Session::builder(environment)
        .map_err(text)?
        .with_optimization_level(GraphOptimizationLevel::All)
        .map_err(|error| error.to_string())?
        .with_intra_threads(runtime::threads())
        .map_err(|error| error.to_string())?
        .with_inter_threads(1)
        .map_err(|error| error.to_string())?
        .commit_from_memory(bytes)
        .map_err(text)
}

/// The test picture of `models/convert`: different in every direction and channel.
pub fn synthetic_picture(size: usize) -> Vec<f32> {
    let mut rgb = Vec::with_capacity(size * size * 3);
    for y in 0..size {
        for x in 0..size {
            for c in 0..3 {
                rgb.push(((3 * x + 5 * y + 85 * c + (x * y) % 61) % 256) as f32);
            }
        }
    }
    rgb
}
