//! `generate DOCUMENT FILE` writes the client that progenitor makes of an OpenAPI 3.0 document.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(document), Some(file)) = (arguments.next(), arguments.next()) else {
        return Err("generate DOCUMENT FILE".into());
    };
    let document: openapiv3::OpenAPI = serde_json::from_str(&std::fs::read_to_string(document)?)?;
    let tokens = progenitor_impl::Generator::default().generate_tokens(&document)?;
    std::fs::write(file, prettyplease::unparse(&syn::parse2(tokens)?))?;
    Ok(())
}
