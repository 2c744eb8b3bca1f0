// Says what each line of hexadecimal means as OSC, then a message of its own.
using System;
using System.Globalization;
using System.Text;

public static class Probe
{
    public static void Main()
    {
        CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
        Console.OutputEncoding = new UTF8Encoding(false);
        for (string line = Console.ReadLine(); line != null; line = Console.ReadLine())
        {
            line = line.Trim('-');
            var data = new byte[line.Length / 2];
            for (int n = 0; n < data.Length; n++) data[n] = Convert.ToByte(line.Substring(2 * n, 2), 16);
            bool read = Componium.Decode(data, out string address, out object[] values);
            Console.WriteLine(read ? address + " " + string.Join(" ", values) : "no message");
        }
        byte[] said = Componium.Encode("/tempo", 132, 16.5, "Grün", true);
        Console.WriteLine(BitConverter.ToString(said).Replace("-", ""));
    }
}
