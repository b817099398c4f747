//! `oms openapi`: prints the document of the API.

use std::process::ExitCode;

use clap::ValueEnum;

use crate::api::docs;

/// Print the OpenAPI document of the API, in JSON.
#[derive(clap::Args)]
pub(super) struct Openapi {
    /// Version of the API.
    #[arg(value_parser = ["v1"])]
    version: String,
    /// Version of OpenAPI to write it in: 3.1, or 3.0 for older tools.
    #[arg(long, value_name = "VERSION", value_enum, default_value_t = Rendering::V31)]
    openapi: Rendering,
}

/// Versions of OpenAPI.
#[derive(Clone, Copy, ValueEnum)]
enum Rendering {
    /// OpenAPI 3.1.
    #[value(name = "3.1")]
    V31,
    /// OpenAPI 3.0.3.
    #[value(name = "3.0")]
    V30,
}

impl Openapi {
    pub(super) fn run(&self) -> ExitCode {
        // There is one version so far.
        let Self { version: _, openapi } = self;
        let rendering = match openapi {
            Rendering::V31 => docs::Rendering::V31,
            Rendering::V30 => docs::Rendering::V30,
        };
        print!("{}", docs::document_v1_json(rendering));
        ExitCode::SUCCESS
    }
}
